/**
 * Who is in the chatroom that is open, and who of them is here now; and for its admin, adding others, who are found as one types.
 */
import { announce, disc, element, find, nameOf, sentence } from '/page/element.js';

/** Milliseconds of silence after which what was typed is searched for. */
const PAUSE_MS = 150;
const FOUND_MAX = 8;

const PRESENCE = { here: 'Here now', away: 'Away', unknown: 'Not known whether here' };

export class People {
  #client;
  #chatrooms;
  #user;
  #room;
  /** Users who were found and can be added, and which of them the arrows have reached. */
  #found = [];
  #at = -1;
  #pause;
  #search = new AbortController();

  constructor(client, chatrooms, user, signal) {
    this.#client = client;
    this.#chatrooms = chatrooms;
    this.#user = user;
    const search = find('search');
    search.addEventListener('input', () => this.#typed(search.value), { signal });
    search.addEventListener('keydown', (event) => this.#key(event), { signal });
    search.addEventListener('blur', () => this.#offer([]), { signal });
    // The field keeps the focus, or the list would be gone before the click.
    find('found').addEventListener('pointerdown', (event) => event.preventDefault(), { signal });
    find('adding').addEventListener('submit', (event) => event.preventDefault(), { signal });
  }

  show(room) {
    this.#room = room;
    this.#empty();
    find('people-error').textContent = '';
    find('participants').replaceChildren();
    delete find('participants').dataset.looks;
    this.update();
    this.refresh();
  }

  /** Asks who is there now. */
  async refresh() {
    const room = this.#room;
    if (!room) return;
    const isKnown = room.people?.length === room.count;
    const questions = [this.#chatrooms.loadPresent(room), isKnown || this.#chatrooms.loadPeople(room)];
    // Whoever cannot be asked about now is asked about again soon.
    await Promise.allSettled(questions);
  }

  update() {
    const room = this.#room;
    if (!room) return;
    const isAdmin = room.admin === this.#user.userid;
    find('adding').hidden = !isAdmin;
    find('rename').hidden = !isAdmin;
    const people = room.people ?? [];
    const looks = JSON.stringify([room.id, people, room.present && [...room.present], room.admin]);
    const list = find('participants');
    if (list.dataset.looks === looks) return;
    list.dataset.looks = looks;
    const focused = list.querySelector(':focus')?.getAttribute('aria-label');
    list.replaceChildren(...people.map((person) => this.#participant(person, isAdmin)));
    // Whoever was about to remove somebody still is.
    [...list.querySelectorAll('button')].find((button) => button.getAttribute('aria-label') === focused)?.focus();
  }

  #participant(person, isAdmin) {
    const { userid, username } = person;
    const { admin, present } = this.#room;
    const isMe = userid === this.#user.userid;
    const notes = [isMe && 'you', userid === admin && 'admin'].filter(Boolean).join(', ');
    const kind = !present ? 'unknown' : present.has(userid) ? 'here' : 'away';
    const mark = element('span', { class: `presence ${kind}`, title: PRESENCE[kind] });
    const item = element('li', {}, disc(username, userid), mark, nameOf(person, 'name'));
    if (notes) item.append(element('span', { class: 'aside' }, notes));
    item.append(element('span', { class: 'unseen' }, `, ${PRESENCE[kind].toLowerCase()}`));
    if (isAdmin && !isMe) item.append(this.#removal(person));
    return item;
  }

  #removal(person) {
    const button = element('button', { type: 'button', class: 'link', 'aria-label': `Remove ${person.username}` }, 'Remove');
    button.addEventListener('click', () => this.#change(`${person.username} was removed.`, 'removeFromChatroom', person));
    return button;
  }

  #add(person) {
    this.#empty();
    return this.#change(`${person.username} was added.`, 'addToChatroom', person);
  }

  async #change(done, call, { userid }) {
    const room = this.#room;
    find('people-error').textContent = '';
    try {
      const { participants } = await this.#client[call](room.id, userid);
      this.#chatrooms.know(room, participants);
      announce(done);
      if (document.activeElement === document.body) find('people-title').focus();
      await this.#chatrooms.loadPresent(room);
    } catch (error) {
      find('people-error').textContent = sentence(error);
    }
  }

  #typed(text) {
    clearTimeout(this.#pause);
    this.#search.abort();
    this.#search = new AbortController();
    const { signal } = this.#search;
    const name = text.trim();
    find('found-none').textContent = '';
    if (!name) return this.#offer([]);
    this.#pause = setTimeout(() => this.#look(name, signal), PAUSE_MS);
  }

  async #look(name, signal) {
    const isIn = ({ userid }) => this.#room?.people?.some((person) => person.userid === userid);
    try {
      const users = await this.#client.getUser(name, { signal });
      const others = users.filter((user) => !isIn(user));
      const isOneIn = users.length > others.length;
      this.#offer(others.slice(0, FOUND_MAX));
      const none = isOneIn ? 'Who is called so is here already.' : 'Nobody is called so.';
      find('found-none').textContent = others.length > 0 ? '' : none;
    } catch (error) {
      if (!signal.aborted) find('found-none').textContent = sentence(error);
    }
  }

  #offer(users) {
    this.#found = users;
    const options = users.map((user) => {
      const option = element('li', { role: 'option', id: `found-${user.userid}` }, disc(user.username, user.userid), nameOf(user, 'name'));
      option.addEventListener('click', () => this.#add(user));
      return option;
    });
    find('found').replaceChildren(...options);
    find('found').hidden = users.length === 0;
    find('search').setAttribute('aria-expanded', users.length > 0);
    this.#goTo(users.length > 0 ? 0 : -1);
  }

  #goTo(at) {
    this.#at = at;
    [...find('found').children].forEach((option, place) => option.setAttribute('aria-selected', place === at));
    const active = find('found').children[at];
    active?.scrollIntoView({ block: 'nearest' });
    if (active) find('search').setAttribute('aria-activedescendant', active.id);
    else find('search').removeAttribute('aria-activedescendant');
  }

  #key(event) {
    const { length } = this.#found;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && length > 0) this.#goTo((this.#at + step + length) % length);
    else if (event.key === 'Enter' && length > 0) this.#add(this.#found[this.#at]);
    else if (event.key === 'Escape' && length > 0) this.#offer([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #empty() {
    find('search').value = '';
    this.#typed('');
  }
}
