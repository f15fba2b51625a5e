/**
 * The conversation of the chatroom that is open: its messages, those before them on scrolling up, and what of the user's is not among them yet.
 */
import { Composer, fit } from '/page/composer.js';
import { arrange, disc, element, find, nameOf, sentence } from '/page/element.js';

/** Pixels from an end of the log within which it counts as being there. */
const NEAR_START = 400;
const NEAR_END = 40;
/** What somebody says so soon after their last message stands below it without their name. */
const TOGETHER_MS = 5 * 60_000;

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export class Conversation {
  #chatrooms;
  #outbox;
  #composer;
  #user;
  #room;
  /** Which messages are shown: a run, as the chatroom keeps it. */
  #shown = [];
  /** What was unread when the chatroom was opened begins here. */
  #newFrom = Infinity;
  #isAtEnd = true;
  /** Where the log is scrolled to: a log that is hidden forgets it. */
  #top = 0;
  /** The log's size when it was last looked at. */
  #size;
  /** Chatrooms of which messages are on their way. */
  #loading = new Set();
  /** How what is not sent is shown, by its nonce. */
  #pending = new Map();

  constructor(chatrooms, outbox, user, signal) {
    this.#chatrooms = chatrooms;
    this.#outbox = outbox;
    this.#composer = new Composer(outbox, user, sessionStorage, signal);
    this.#user = user;
    const listening = { signal };
    find('log').addEventListener('scroll', () => this.#scrolled(), listening);
    find('newer').addEventListener('click', () => this.#toEnd(), listening);
    find('composer').addEventListener('submit', (event) => this.#submit(event), listening);
    document.addEventListener('visibilitychange', () => this.#read(), listening);
    const observer = new ResizeObserver(() => this.#resized());
    observer.observe(find('log'));
    signal.addEventListener('abort', () => observer.disconnect());
  }

  /** Shows a chatroom, or none. */
  async show(room) {
    this.#room = room;
    this.#isAtEnd = true;
    this.#shown = [];
    find('messages').replaceChildren();
    find('pending').replaceChildren();
    this.#composer.show(room);
    if (!room) return;
    this.#newFrom = room.unread > 0 ? room.read + 1 : Infinity;
    this.update();
    await this.refresh();
    if (room !== this.#room) return;
    document.getElementById('unread')?.scrollIntoView({ block: 'start' });
    this.#scrolled();
  }

  /** Asks for the newest messages, where they are not there: because that has failed, say. */
  refresh() {
    const room = this.#room;
    return room && this.#load(() => this.#chatrooms.load(room));
  }

  /** Of this user nothing stays. */
  forget() {
    this.#composer.forget();
  }

  update() {
    const room = this.#room;
    if (!room) return;
    find('title').textContent = room.title(this.#user);
    find('subtitle').textContent = peopleOf(room);
    if (room.isKept) this.#outbox.settle(room.id, room.newest);
    this.#showMessages(room.messages);
    this.#showPending(this.#outbox.of(room.id));
    this.#composer.update();
    if (this.#isAtEnd) this.#toEnd();
    this.#showNote();
    this.#read();
  }

  /** Adds what is new at either end; what is there already stays as it is. */
  #showMessages(messages) {
    const list = find('messages');
    const log = find('log');
    const [first] = this.#shown;
    const begin = first ? messages.findIndex(({ id }) => id === first.id) : -1;
    const end = begin + this.#shown.length;
    if (begin < 0 || messages[end - 1]?.id !== this.#shown.at(-1).id) {
      list.replaceChildren(...this.#items(messages, 0, messages.length));
    } else {
      const heightBefore = log.scrollHeight;
      // Whether the first one needs its name depends on what comes before it.
      if (begin > 0) {
        list.firstElementChild.replaceWith(this.#item(messages[begin], messages[begin - 1]));
        list.prepend(...this.#items(messages, 0, begin));
        log.scrollTop += log.scrollHeight - heightBefore;
      }
      list.append(...this.#items(messages, end, messages.length));
    }
    this.#shown = messages;
  }

  #items(messages, from, to) {
    return messages.slice(from, to).map((message, at) => this.#item(message, messages[from + at - 1]));
  }

  #item(message, previous) {
    const { id, userid, time, message: text } = message;
    const at = new Date(time);
    const day = DAY.format(at);
    const isNewDay = !previous || DAY.format(new Date(previous.time)) !== day;
    const isFirstNew = id === this.#newFrom;
    const isTogether = !isNewDay && !isFirstNew && previous.userid === userid && at - new Date(previous.time) < TOGETHER_MS;
    const item = element('li', { class: userid === this.#user.userid ? 'own' : 'theirs', 'data-id': id });
    if (isNewDay) item.append(element('p', { class: 'day' }, element('time', { datetime: time }, day)));
    if (isFirstNew) item.append(element('p', { class: 'unread', id: 'unread' }, 'New'));
    if (!isTogether) item.append(byLine(message, at));
    item.toggleAttribute('data-together', isTogether);
    item.append(element('p', { class: 'text', dir: 'auto', title: MOMENT.format(at) }, text));
    return item;
  }

  /** What has not changed is not made anew: it would be read out again, and its buttons would lose the focus. */
  #showPending(entries) {
    const before = this.#pending;
    this.#pending = new Map();
    for (const entry of entries) {
      const looks = JSON.stringify([entry.failure]);
      const known = before.get(entry.nonce);
      this.#pending.set(entry.nonce, known?.looks === looks ? known : { looks, item: this.#unsent(entry) });
    }
    arrange(find('pending'), [...this.#pending.values()].map(({ item }) => item));
  }

  #unsent(entry) {
    const { message, failure } = entry;
    const item = element('li', { class: 'own' }, element('p', { class: 'text', dir: 'auto' }, message));
    if (!failure) {
      item.append(element('p', { class: 'fate' }, 'Sending …'));
      return item;
    }
    const again = button('Try again', () => {
      this.#outbox.retry(entry);
      goToLog();
    });
    const edit = button('Edit', () => {
      this.#outbox.discard(entry);
      this.#composer.takeBack(message);
    });
    const discard = button('Discard', () => {
      this.#outbox.discard(entry);
      goToLog();
    });
    item.append(element('p', { class: 'fate failed', role: 'alert' }, `Not sent. ${sentence(failure)}`));
    item.append(element('p', { class: 'fate' }, failure.isTransient ? again : undefined, edit, discard));
    return item;
  }

  /** What stands above the first message, and the way to those below. */
  #showNote(trouble) {
    const { isKept, hasAll, unread } = this.#room;
    const earlier = find('earlier');
    if (trouble) earlier.textContent = sentence(trouble);
    else if (!isKept || !hasAll) earlier.textContent = 'Looking for what was said …';
    else earlier.textContent = this.#shown.length > 0 ? 'This is where it begins.' : 'Nothing has been said yet.';
    const newer = find('newer');
    newer.hidden = this.#isAtEnd;
    newer.textContent = unread > 0 ? `${unread} new ↓` : 'To the newest ↓';
  }

  #resized() {
    const log = find('log');
    this.#size = sizeOf(log);
    if (log.clientHeight === 0) return;
    // In another width what is written has other lines. That gives the log another size, which is for the next frame.
    requestAnimationFrame(fit);
    if (this.#isAtEnd) this.#toEnd();
    else log.scrollTop = this.#top;
    this.#scrolled();
  }

  #scrolled() {
    const log = find('log');
    // Where a new size has moved it, nobody has scrolled, and it is moved back.
    if (!this.#room || log.clientHeight === 0 || this.#size !== sizeOf(log)) return;
    const { scrollHeight, scrollTop, clientHeight } = log;
    this.#top = scrollTop;
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.#showNote();
    this.#read();
    const room = this.#room;
    const isDue = scrollTop < NEAR_START && room.isKept && !room.hasAll && this.#shown.length > 0;
    if (isDue) this.#load(() => this.#chatrooms.loadEarlier(room));
  }

  /** One at a time; and where that was not enough to fill the log, more. */
  async #load(more) {
    const room = this.#room;
    if (this.#loading.has(room)) return;
    this.#loading.add(room);
    let trouble;
    try {
      await more();
    } catch (error) {
      trouble = error;
    } finally {
      this.#loading.delete(room);
    }
    if (room !== this.#room) return;
    if (trouble) this.#showNote(trouble);
    else this.#scrolled();
  }

  #toEnd() {
    const log = find('log');
    log.scrollTop = log.scrollHeight;
  }

  /** What is before the user's eyes counts as read. */
  #read() {
    const room = this.#room;
    const isSeen = room?.isKept && room.newest === room.last && this.#isAtEnd && document.visibilityState === 'visible';
    if (isSeen) this.#chatrooms.markRead(room);
  }

  #submit(event) {
    event.preventDefault();
    const message = this.#composer.take();
    if (message === undefined) return;
    this.#isAtEnd = true;
    this.#outbox.say(this.#room.id, message);
  }
}

function sizeOf({ clientWidth, clientHeight }) {
  return `${clientWidth} ${clientHeight}`;
}

function byLine(message, at) {
  const name = nameOf(message, 'name');
  const time = element('time', { datetime: message.time, title: MOMENT.format(at) }, CLOCK.format(at));
  return element('p', { class: 'by' }, disc(message.username, message.userid), name, ' ', time);
}

function peopleOf({ count, present }) {
  const people = count === 1 ? '1 person' : `${count} people`;
  return present?.size > 0 ? `${people}, ${present.size} here now` : people;
}

/** From a button that goes, and would take the focus with it. */
function goToLog() {
  find('log').focus({ preventScroll: true });
}

function button(text, act) {
  const made = element('button', { type: 'button', class: 'link' }, text);
  made.addEventListener('click', act);
  return made;
}
