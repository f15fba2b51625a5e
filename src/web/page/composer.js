/**
 * Where the user writes: what is written in each chatroom and not sent.
 *
 * What is written is stored for as long as the tab lives, so that neither a reload nor the session's end takes it away.
 */
import { find } from '/page/element.js';

export class Composer {
  #storage;
  #key;
  #drafts;
  #room;

  constructor(user, storage, signal) {
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
    find('text').value = this.#drafts[room?.id] ?? '';
    fit();
  }

  /** What is to be sent, which then stands here no more; undefined where there is nothing. */
  take() {
    const message = find('text').value.trimEnd();
    if (!message.trim()) return undefined;
    find('text').focus();
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
    if (value) this.#drafts[id] = value;
    else delete this.#drafts[id];
    fit();
    this.#storage.setItem(this.#key, JSON.stringify(this.#drafts));
  }
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
