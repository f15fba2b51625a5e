// What a following tells, held against what it promises: each message once, and those of a chatroom in order.
import assert from 'node:assert/strict';

export class Told {
  /** Messages' texts, by chatroom. */
  texts = {};
  /** How many messages. */
  count = 0;
  /** The newest id that may be told next, by chatroom. */
  #next = {};
  #waiting = [];

  /** `since` is behind which messages it begins, by chatroom; 0 for those that are not in it. */
  constructor(since = {}) {
    for (const [chatroomid, id] of Object.entries(since)) this.#next[chatroomid] = id + 1;
  }

  /** To be given to `follow`. */
  take = (messages) => {
    assert.notEqual(messages.length, 0);
    for (const { chatroomid, id, message } of messages) {
      assert.equal(id, this.#next[chatroomid] ?? 1, `in chatroom ${chatroomid}`);
      this.#next[chatroomid] = id + 1;
      (this.texts[chatroomid] ??= []).push(message);
      this.count += 1;
    }
    this.#waiting = this.#waiting.filter(({ holds, resolve }) => !(holds() && (resolve(), true)));
  };

  /** Waits until so many have been told. */
  until(count) {
    const holds = () => this.count >= count;
    return holds() ? Promise.resolve() : new Promise((resolve) => this.#waiting.push({ holds, resolve }));
  }
}
