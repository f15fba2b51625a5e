/**
 * What the user has said and is not in the conversation yet. Nothing here knows the page.
 *
 * A message has its nonce from the first moment and is stored with it for as long as the tab lives: so after a reload it is sent on, and is
 * saved once all the same. Those of one chatroom go one after the other, so that they do not change places.
 */

export class Outbox extends EventTarget {
  #client;
  #storage;
  #key;
  #entries;
  /** Chatrooms in which something is on its way. */
  #busy = new Set();
  #end = new AbortController();
  /** Bytes of the longest message that the server takes, once it has said so. */
  messageMax;
  #isAsking = false;

  constructor(client, user, storage) {
    super();
    this.#client = client;
    this.#storage = storage;
    this.#key = `loiter.outbox.${user.userid}`;
    this.#entries = JSON.parse(storage.getItem(this.#key)) ?? [];
    for (const { chatroomid } of this.#entries) this.#send(chatroomid);
  }

  /** What is on its way to a chatroom, or could not be sent (`failure`); in order. */
  of(chatroomid) {
    return this.#entries.filter((entry) => entry.chatroomid === chatroomid);
  }

  say(chatroomid, message) {
    this.#entries.push({ chatroomid, message, nonce: newNonce() });
    this.#changed();
    this.#send(chatroomid);
  }

  /** What could not be sent is sent again. */
  retry(entry) {
    delete entry.failure;
    this.#changed();
    this.#send(entry.chatroomid);
  }

  discard(entry) {
    this.#entries = this.#entries.filter((other) => other !== entry);
    this.#changed();
  }

  /** Asks for `messageMax`, in the one way that there is: by an empty message, which is refused. */
  async askMax(chatroomid) {
    if (this.#isAsking) return;
    this.#isAsking = true;
    await this.#client.send(chatroomid, '', { signal: this.#end.signal }).catch((error) => this.#learn(error));
    this.#isAsking = false;
    this.#changed();
  }

  /** Those that the conversation has up to an id are no more to be shown here. */
  settle(chatroomid, newest) {
    const isOver = (entry) => entry.chatroomid === chatroomid && entry.id <= newest;
    if (!this.#entries.some(isOver)) return;
    this.#entries = this.#entries.filter((entry) => !isOver(entry));
    this.#changed();
  }

  /** Sends nothing more; what is not sent stays stored. */
  stop() {
    this.#end.abort();
  }

  /** Of this user nothing stays. */
  forget() {
    this.stop();
    this.#storage.removeItem(this.#key);
  }

  async #send(chatroomid) {
    if (this.#busy.has(chatroomid)) return;
    this.#busy.add(chatroomid);
    const isDue = (entry) => entry.chatroomid === chatroomid && !entry.failure && !entry.id;
    for (let entry; !this.#end.signal.aborted && (entry = this.#entries.find(isDue)); ) await this.#sendOne(entry);
    this.#busy.delete(chatroomid);
  }

  async #sendOne(entry) {
    const { chatroomid, message, nonce } = entry;
    const { signal } = this.#end;
    try {
      const { id } = await this.#client.send(chatroomid, message, { nonce, limit: 1, signal });
      entry.id = id;
    } catch (error) {
      if (signal.aborted) return;
      // Whoever logs in again sends it on.
      if (error.code === 'no_session') return this.stop();
      const { code, message: why, isTransient } = error;
      entry.failure = { code, message: why, isTransient };
      this.#learn(error);
    }
    this.#changed();
  }

  /** The refusal may come to be in other words: then nothing is learned of it, and the server alone refuses what is too long. */
  #learn({ code, message }) {
    const [, max] = (code === 'bad_parameter' && /^message must have \d+ to (\d+) bytes/.exec(message)) || [];
    if (max) this.messageMax = Number(max);
  }

  #changed() {
    if (this.#end.signal.aborted) return;
    try {
      this.#storage.setItem(this.#key, JSON.stringify(this.#entries));
    } catch {
      // There is no room for so much: it is sent all the same, but not after a reload.
    }
    this.dispatchEvent(new Event('change'));
  }
}

/** It need be unique, and pages without TLS have no randomUUID. */
function newNonce() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
