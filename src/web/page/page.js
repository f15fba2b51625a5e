/**
 * loiter's chat page. This file holds it together: who is here, which chatroom is open, and what goes on beside the conversation.
 *
 * The address tells which chatroom is open (`#7`), so that the browser's back, its reload and its bookmarks do what they do elsewhere.
 * On a narrow screen one part is shown at a time: the list, the conversation, or who is in it.
 */
import { Client } from '/loiter.js';
import { Chatrooms } from '/page/chatrooms.js';
import { Conversation } from '/page/conversation.js';
import { announce, ask, find } from '/page/element.js';
import { List } from '/page/list.js';
import { logIn, sessionUser } from '/page/login.js';
import { Outbox } from '/page/outbox.js';
import { People } from '/page/people.js';
import { showState, showTrouble } from '/page/trouble.js';

/** How often it is asked who is here. */
const PRESENCE_MS = 15_000;
/** When the server is back: until others have come back too, who did not try in the same moment. */
const RETURN_MS = 3000;

const isNarrow = matchMedia('(max-width: 47.99rem)');
const isWide = matchMedia('(min-width: 64rem)');
const isTouched = matchMedia('(pointer: coarse)');

/** What one user sees, from logging in to the session's end. */
class Chat {
  #client;
  #user;
  #chatrooms;
  #outbox;
  #list;
  #conversation;
  #people;
  #room;
  #arePeopleShown = isWide.matches;
  #isUpdating = false;
  #return;
  #end = new AbortController();

  /** Resolves to why it has ended; rejects with what should not happen. */
  over;

  constructor(client, user) {
    const { signal } = this.#end;
    this.#client = client;
    this.#user = user;
    this.#chatrooms = new Chatrooms(client, user, localStorage);
    this.#outbox = new Outbox(client, user, sessionStorage);
    this.#list = new List(this.#chatrooms, this.#outbox, user, signal);
    this.#conversation = new Conversation(this.#chatrooms, this.#outbox, user, signal);
    this.#people = new People(client, this.#chatrooms, user, signal);
    this.over = new Promise((resolve, reject) => this.#listen(resolve, reject, signal)).finally(() => this.#stop());
    find('me').textContent = user.username;
    find('chat').hidden = false;
    this.#show('list');
    this.#chatrooms.follow();
  }

  #listen(resolve, reject, signal) {
    const on = (target, type, handle) => target.addEventListener(type, handle, { signal });
    on(this.#chatrooms, 'change', () => this.#changed());
    on(this.#chatrooms, 'stock', () => this.#conversation.refresh());
    on(this.#chatrooms, 'messages', ({ detail }) => this.#tell(detail));
    on(this.#chatrooms, 'state', ({ detail }) => this.#stateIs(detail));
    on(this.#chatrooms, 'end', ({ detail: error }) => {
      if (error.code === 'no_session') resolve('Your session is over. Log in again.');
      else reject(error);
    });
    on(this.#outbox, 'change', () => this.#changed());
    on(globalThis, 'hashchange', () => this.#route());
    on(globalThis, 'storage', () => this.#chatrooms.takeMarks());
    // The one that is open already changes no address.
    on(find('list'), 'click', ({ target }) => target.closest('a')?.hash === location.hash && this.#route());
    on(isWide, 'change', ({ matches }) => this.#fit(matches));
    on(find('new'), 'click', () => this.#openNew());
    on(find('rename'), 'click', () => this.#rename());
    on(find('leave'), 'click', () => this.#leave());
    on(find('logout'), 'click', () => this.#logOut(resolve));
    on(find('show-people'), 'click', () => this.#togglePeople(!this.#arePeopleShown));
    on(find('hide-people'), 'click', () => this.#togglePeople(false));
    on(find('people'), 'keydown', ({ key }) => key === 'Escape' && this.#togglePeople(false));
    on(find('retry'), 'click', () => this.#client.retryNow());
    const look = () => document.visibilityState === 'visible' && this.#people.refresh();
    on(document, 'visibilitychange', look);
    const timer = setInterval(look, PRESENCE_MS);
    signal.addEventListener('abort', () => clearInterval(timer));
  }

  #stop() {
    this.#end.abort();
    this.#chatrooms.stop();
    this.#outbox.stop();
    this.#conversation.show(undefined);
    this.#people.show(undefined);
    find('list').replaceChildren();
    for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
    find('chat').hidden = true;
    document.title = 'loiter';
    clearTimeout(this.#return);
    showTrouble('');
  }

  #stateIs({ state, waitMs }) {
    const hadFocus = document.activeElement === find('retry');
    showState(state, waitMs);
    if (hadFocus && find('retry').hidden) this.#goOn();
    clearTimeout(this.#return);
    if (state === 'live') this.#return = setTimeout(() => this.#people.refresh(), RETURN_MS);
  }

  /** The focus goes to what is looked at. */
  #goOn() {
    if (!isWide.matches && find('chat').dataset.view === 'people') find('people-title').focus();
    else this.#route();
  }

  /** Many changes at a time are shown once. */
  #changed() {
    if (this.#isUpdating) return;
    this.#isUpdating = true;
    queueMicrotask(() => {
      this.#isUpdating = false;
      if (!this.#end.signal.aborted) this.#update();
    });
  }

  #update() {
    const wanted = this.#chatrooms.at(Number(location.hash.slice(1)));
    if (wanted !== this.#room) this.#open(wanted);
    this.#list.update();
    this.#conversation.update();
    this.#people.update();
    const { unread } = this.#chatrooms;
    const title = this.#room ? `${this.#room.title(this.#user)} – loiter` : 'loiter';
    document.title = unread > 0 ? `(${unread}) ${title}` : title;
  }

  #route() {
    this.#update();
    if (this.#room) return focusConversation();
    find('list').querySelector('a')?.focus();
  }

  /** Opens a chatroom, or none. */
  #open(room) {
    const wasOpen = this.#room;
    this.#room = room;
    this.#chatrooms.open = room?.id;
    if (wasOpen && !this.#chatrooms.at(wasOpen.id)) announce('You are in that chatroom no more.');
    if (isNarrow.matches) this.#arePeopleShown = false;
    this.#show(room ? 'conversation' : 'list');
    this.#conversation.show(room);
    this.#people.show(room);
  }

  /** Which part a narrow screen shows; a wider one shows them all. */
  #show(view) {
    const chat = find('chat');
    chat.dataset.view = view;
    chat.toggleAttribute('data-open', Boolean(this.#room));
    find('people').hidden = !this.#room || !this.#arePeopleShown;
    find('show-people').setAttribute('aria-expanded', this.#arePeopleShown);
  }

  /** A window of another size, or a tablet that was turned. */
  #fit(isRoomy) {
    this.#arePeopleShown = isRoomy;
    this.#show(this.#room ? 'conversation' : 'list');
  }

  #togglePeople(areShown) {
    this.#arePeopleShown = areShown;
    this.#show(areShown ? 'people' : 'conversation');
    find(areShown ? 'people-title' : 'show-people').focus();
    if (areShown) this.#people.refresh();
  }

  #openNew() {
    name({ title: 'New chatroom', done: 'Open it', isOptional: true }, async (given) => {
      const { chatroomid } = await this.#client.newChatroom({ name: given || undefined });
      await this.#chatrooms.refresh();
      location.hash = chatroomid;
      this.#update();
      this.#togglePeople(true);
      // The dialog, which closes now, would give the focus to what had it before.
      setTimeout(() => find('search').focus());
    });
  }

  #rename() {
    const room = this.#room;
    name({ title: 'Rename the chatroom', done: 'Rename', value: room.name }, async (given) => {
      room.name = (await this.#client.renameChatroom(room.id, given)).name;
      this.#changed();
    });
  }

  #leave() {
    const room = this.#room;
    find('leaving-title').textContent = `Leave “${room.title(this.#user)}”?`;
    ask('leaving', async () => {
      await this.#client.leaveChatroom(room.id);
      await this.#chatrooms.refresh();
      location.hash = '';
      find('new').focus();
    });
  }

  async #logOut(resolve) {
    this.#chatrooms.stop();
    this.#outbox.forget();
    const error = await this.#client.logout().catch((failure) => failure);
    this.#conversation.forget();
    history.replaceState(null, '', location.pathname);
    resolve(error.isTransient ? 'The server does not answer: you may still be logged in.' : '');
  }

  /** Says what has come to those who listen. */
  #tell(messages) {
    for (const { chatroomid, userid, username, message } of messages) {
      if (userid === this.#user.userid) continue;
      const room = this.#chatrooms.at(chatroomid);
      const isOpen = room === this.#room;
      announce(isOpen ? `${username}: ${message}` : `New from ${username} in ${room?.title(this.#user) ?? 'a new chatroom'}.`);
    }
  }
}

/** Asks for a chatroom's name. */
function name({ title, done, value = '', isOptional = false }, submit) {
  const input = find('name');
  find('naming-title').textContent = title;
  find('naming-done').textContent = done;
  find('name-optional').hidden = !isOptional;
  input.required = !isOptional;
  input.value = value;
  ask('naming', () => submit(input.value.trim()));
  input.focus();
}

/** A screen keyboard comes when it is asked for. */
function focusConversation() {
  find(isTouched.matches || isNarrow.matches ? 'title' : 'text').focus();
}

async function main() {
  const client = new Client();
  let user = await sessionUser(client, () => showState('waiting'));
  showState('live');
  for (let why = ''; ; user = undefined) {
    user ??= await logIn(client, why);
    why = await new Chat(client, user).over;
  }
}

main().catch((error) => {
  showTrouble('Something went wrong with this page. Reload it.');
  throw error;
});
