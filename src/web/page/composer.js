/**
 * Where the user writes: what is written in each chatroom and not sent, and whether a message has room for it.
 *
 * What is written is stored for as long as the tab lives, so that neither a reload nor the session's end takes it away.
 */
import { announce, find } from '/page/element.js';

/** Bytes of the longest message where the server has not said yet: so many it takes unless it was told otherwise. */
const USUAL_MAX = 4096;
/** From which part of them on it is told how many are left. */
const NEAR = 7 / 8;
/** Characters that the server refuses; they come by copying, and nobody can see and remove them. */
const REFUSED = /(?![\t\n])\p{Cc}/gu;
/** The server counts bytes. */
const UTF8 = new TextEncoder();

export class Composer {
  #outbox;
  #storage;
  #key;
  #drafts;
  #room;
  #isNear = false;
  /** How many bytes are left, as far as that is told; negative where there are too many. */
  #left;
  /** Whether it was sent as it is, in vain. */
  #isRefused = false;

  constructor(outbox, user, storage, signal) {
    this.#outbox = outbox;
    this.#storage = storage;
    this.#key = `loiter.drafts.${user.userid}`;
    this.#drafts = JSON.parse(storage.getItem(this.#key)) ?? {};
    const text = find('text');
    text.addEventListener('keydown', sendByEnter, { signal });
    text.addEventListener('input', () => this.#changed(), { signal });
  }

  /** Shows what is written in a chatroom, or in none. */
  show(room) {
    this.#room = room;
    this.#isNear = false;
    this.#isRefused = false;
    find('text').value = this.#drafts[room?.id] ?? '';
    fit();
    this.update();
  }

  /** Tells how much room is left, where that is little. */
  update() {
    const { length } = UTF8.encode(written());
    const max = this.#outbox.messageMax;
    const isNear = length >= (max ?? USUAL_MAX) * NEAR;
    // Each time anew: the server may have been started again, and take another length.
    if (isNear && !this.#isNear) this.#outbox.askMax(this.#room.id);
    this.#isNear = isNear;
    const before = this.#left;
    this.#left = isNear && max ? max - length : undefined;
    find('count').textContent = this.#isRefused ? `Not sent: ${this.#count}` : this.#count;
    find('text').setAttribute('aria-invalid', this.#left < 0);
    // Those who listen are told when it begins to matter, and not with each key.
    if (this.#left !== undefined && (before === undefined || before < 0 !== this.#left < 0)) announce(this.#count);
  }

  get #count() {
    if (this.#left === undefined) return '';
    const count = Math.abs(this.#left);
    return `${count} ${count === 1 ? 'byte' : 'bytes'} ${this.#left < 0 ? 'too long' : 'left'}`;
  }

  /** What is to be sent, which then stands here no more; undefined where there is nothing, or too much. */
  take() {
    const message = written();
    if (!message.trim()) return undefined;
    find('text').focus();
    if (this.#left < 0) {
      this.#isRefused = true;
      this.update();
      announce(`Not sent: ${this.#count}`);
      return undefined;
    }
    find('text').value = '';
    this.#changed();
    return message;
  }

  /** What could not be sent stands here again, before what is being written. */
  takeBack(message) {
    const text = find('text');
    text.value = text.value.trim() ? `${message}\n\n${text.value}` : message;
    this.#changed();
    text.focus();
    text.setSelectionRange(message.length, message.length);
  }

  /** Of this user nothing stays. */
  forget() {
    this.#storage.removeItem(this.#key);
  }

  #changed() {
    const { value } = find('text');
    const { id } = this.#room;
    this.#isRefused = false;
    if (value) this.#drafts[id] = value;
    else delete this.#drafts[id];
    fit();
    this.update();
    try {
      this.#storage.setItem(this.#key, JSON.stringify(this.#drafts));
    } catch {
      // There is no room for so much: it does not outlive the tab, and is written all the same.
    }
  }
}

/** The message that what is written makes. */
function written() {
  return find('text').value.replace(REFUSED, '').trimEnd();
}

/** Shift and Enter begins a line, and so does Enter while a character is being composed of several keys. */
function sendByEnter(event) {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  find('composer').requestSubmit();
}

/** As high as what is written. */
export function fit() {
  const text = find('text');
  text.style.height = 'auto';
  // With its border, which is not scrolled.
  text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`;
}
