/**
 * A client of loiter's API for browsers and for Node 18 and newer. It depends on nothing.
 *
 *     import { Client } from '/loiter.js';
 *
 *     const client = new Client();
 *     await client.login('ann', 'correct horse');
 *     const following = client.follow('all', (messages) => show(messages));
 *     await client.send(7, 'hello');
 *     following.stop();
 *
 * Each call returns a promise of what the API answers, or rejects with a LoiterError. Its last argument holds what is optional;
 * an AbortSignal as `signal` is always taken. loiter.d.ts describes each option and each answer.
 */

/** How long an answer may take that the server does not hold back. */
const ANSWER_MS = 30_000;
/** How long after its end a poll may still be answered before its connection counts as dead. */
const GRACE_MS = 10_000;
/** Seconds that a poll waits: less than the minute after which many a proxy gives up. */
const POLL_S = 50;
/** For how long a send is repeated: the server knows its nonce for a day. */
const REPEAT_MS = 23 * 3_600_000;
/** What has held for so long and then failed is no sign of a server in trouble. */
const HELD_MS = 10_000;
/** A poll that ends so soon with nothing was ended by somebody: another tab, where a session may have no more polls. */
const EARLY_MS = 500;
/** Bytes that a poll's chatrooms and pairs may take in its query: a server, or a proxy before it, refuses a request line of 8 KiB or more. */
const QUERY_MAX = 6000;
/** Those of the longest pair, of ids as large as they may become. */
const PAIR_MAX = 39;

/** Why a call failed. */
export class LoiterError extends Error {
  /** `code` is the API's own, or `no_answer` where nobody answered, or not loiter; then `status` is 0, or that of the other. */
  constructor(status, code, message, { chatroomid, last, first, retryAfter, cause } = {}) {
    super(message, { cause });
    Object.assign(this, { name: 'LoiterError', status, code, chatroomid, last, first, retryAfter });
  }

  /** Whether the same may well succeed if it is asked again later. */
  get isTransient() {
    const isOnTheWay = this.code === 'no_answer' && !(this.status >= 400 && this.status < 500);
    return isOnTheWay || this.code === 'storage_failed' || [408, 429, 502, 503, 504].includes(this.status);
  }
}

/** A user's calls. In Node it keeps the session's cookie itself; in a browser the browser does. */
export class Client {
  #base;
  #fetch;
  #credentials;
  #backoffMs;
  /** Told `retry` where what waits after a failure is not to wait any longer, and `answered` where the server is there again. */
  #retries = new EventTarget();

  /** What the server calls the session's cookie: one of these, until it has said which. */
  #cookies = ['session', '__Host-session'];
  /** The session's token, where the platform keeps no cookies. */
  session;

  constructor(base = '', { session, fetch, credentials = 'same-origin', backoffMs = [500, 20_000] } = {}) {
    this.#base = String(base).replace(/\/+$/, '');
    this.#fetch = fetch ?? ((...request) => globalThis.fetch(...request));
    this.#credentials = credentials;
    this.#backoffMs = backoffMs;
    this.session = session;
  }

  register(username, password, options) {
    return this.#post('/register/', { username, password }, options);
  }

  login(username, password, options) {
    return this.#post('/login/', { username, password }, options);
  }

  logout(options) {
    return this.#post('/logout/', {}, options);
  }

  whoami(options) {
    return this.#get('/whoami/', {}, options);
  }

  changePassword(password, newpassword, options) {
    return this.#post('/changePassword/', { password, newpassword }, options);
  }

  chatrooms(options) {
    return this.#get('/message/chatrooms/', {}, options);
  }

  overview(options) {
    return this.#get('/message/overview/', {}, options);
  }

  /** An empty array where there is nobody. */
  async getUser(name, options) {
    const users = await this.#get('/message/getUser/', { name }, options);
    return Array.isArray(users) ? users : [];
  }

  newChatroom({ name, signal } = {}) {
    return this.#post('/message/newChatroom/', { name }, { signal });
  }

  renameChatroom(chatroomid, name, options) {
    return this.#post('/message/renameChatroom/', { chatroomid, name }, options);
  }

  addToChatroom(chatroomid, usertoadd, options) {
    return this.#post('/message/addToChatroom/', { chatroomid, usertoadd }, options);
  }

  leaveChatroom(chatroomid, options) {
    return this.#post('/message/leaveChatroom/', { chatroomid }, options);
  }

  removeFromChatroom(chatroomid, usertoremove, options) {
    return this.#post('/message/removeFromChatroom/', { chatroomid, usertoremove }, options);
  }

  chatroomParticipants(chatroomid, options) {
    return this.#get('/message/chatroomParticipants/', { chatroomid }, options);
  }

  presence(chatroomid, options) {
    return this.#get('/message/presence/', { chatroomid }, options);
  }

  history(chatroomid, { before, limit, signal } = {}) {
    return this.#get('/message/history/', { chatroomid, before, limit }, { signal });
  }

  /** One poll of a chatroom's id, of several in an array, or of `'all'`: what `follow` is made of. */
  longpoll(chatrooms, { since, timeout, limit, signal } = {}) {
    const isPairs = typeof since === 'object';
    const pairs = isPairs ? Object.entries(since).map((pair) => pair.join(':')).join() || undefined : since;
    const deadlineMs = timeout === undefined ? Infinity : timeout * 1000 + GRACE_MS;
    const parameters = { chatroomid: String(chatrooms), since: pairs, timeout, limit };
    return this.#get('/message/longpoll/', parameters, { signal, deadlineMs });
  }

  endpoll(chatroomid, { limit, signal } = {}) {
    return this.#get('/message/endpoll/', { chatroomid, limit }, { signal });
  }

  /**
   * Says something exactly once: the same is sent again, with the same nonce, until it is answered with anything but trouble on
   * the way or in the database. Things that are not to change places are said one after the other's answer.
   */
  async send(chatroomid, message, { nonce = newNonce(), limit, signal } = {}) {
    const parameters = { chatroomid, message, nonce, limit };
    const endMs = Date.now() + REPEAT_MS;
    for (let failures = 0; ; failures += 1) {
      try {
        const { body, headers } = await this.#ask('POST', '/message/sendMessage/', parameters, { signal });
        return { id: Number(headers.get('loiter-message-id')), messages: body };
      } catch (error) {
        if (!error?.isTransient || Date.now() > endMs) throw error;
        await pause(backOffMs(this.#backoffMs, failures, error), this.#retries, error, signal);
      }
    }
  }

  /**
   * Tells all that is said in a chatroom, in several (an array of ids) or in `'all'` of the user's: each message once, those of a
   * chatroom in order, whatever the network and the server do meanwhile. What `onMessages` has returned from counts as told.
   */
  follow(chatrooms, onMessages, options = {}) {
    return new Following(this, this.#backoffMs, this.#retries, chatrooms, { ...options, onMessages });
  }

  /**
   * Tries at once what waits after a failure, sends and followings alike. A following whose attempt is not answered yet begins it
   * anew; a poll that is as it should be is left alone.
   */
  retryNow() {
    this.#retries.dispatchEvent(new Event('retry'));
  }

  async #get(path, parameters, options) {
    return (await this.#ask('GET', path, parameters, options)).body;
  }

  async #post(path, parameters, options) {
    return (await this.#ask('POST', path, parameters, options)).body;
  }

  async #ask(method, path, parameters, { signal, deadlineMs = ANSWER_MS } = {}) {
    signal?.throwIfAborted();
    const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
    const body = method === 'POST' ? new URLSearchParams(given) : undefined;
    const query = body || given.length === 0 ? '' : `?${readable(new URLSearchParams(given))}`;
    const pairs = this.#cookies.map((name) => `${name}=${this.session}`);
    const headers = this.session ? { Cookie: pairs.join('; ') } : {};
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    const deadline = deadlineMs < Infinity ? setTimeout(abort, deadlineMs) : undefined;
    signal?.addEventListener('abort', abort);
    try {
      const request = { method, body, headers, credentials: this.#credentials, signal: attempt.signal };
      const response = await this.#fetch(this.#base + path + query, request);
      const text = await response.text();
      this.#keepSession(response.headers.get('set-cookie'));
      return { body: read(response, text), headers: response.headers };
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof LoiterError) throw error;
      throw new LoiterError(0, 'no_answer', 'The server did not answer.', { cause: error });
    } finally {
      clearTimeout(deadline);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** A browser keeps cookies itself, and shows none of them. */
  #keepSession(cookies) {
    const session = /(?:^|, *)((?:__Host-)?session)=([^;,]*)/.exec(cookies ?? '');
    if (!session) return;
    this.#cookies = [session[1]];
    this.session = session[2] || undefined;
  }
}

/** What `follow` returns. */
class Following {
  #client;
  #backoffMs;
  #retries;
  #options;
  /** Ids, or `'all'`. */
  #chatrooms;
  /** The newest message told, by chatroom; of those that the user has left too, who may come back. */
  #since;
  /** A chatroom that is not in `since` has been joined meanwhile. */
  #hasBegun;
  /** The newest message that is known to be there, by chatroom. Where it is not the one in `since`, there is something to be told. */
  #newest = new Map();
  /** What the next poll is for, the most recently spoken in first. */
  #ids = [];
  #stockIsDueMs = 0;
  #isOver = false;
  /** A callback has thrown. */
  #isBroken = false;
  #state;
  /** Aborted to begin anew at once, or to end. */
  #attempt = new AbortController();
  #pollIsDueMs = 0;

  /** Resolves when it has been stopped and nothing more will be told; rejects with what ended it. */
  done;

  constructor(client, backoffMs, retries, chatrooms, options) {
    this.#client = client;
    this.#backoffMs = backoffMs;
    this.#retries = retries;
    this.#chatrooms = chatrooms === 'all' ? chatrooms : [...new Set([chatrooms].flat().map(Number))];
    this.#hasBegun = Boolean(options.since);
    this.#since = new Map(Object.entries(options.since ?? {}).map(([chatroomid, id]) => [Number(chatroomid), id]));
    this.#options = { timeout: POLL_S, ...options };
    this.done = this.#run();
    if (options.onError) this.done.catch(options.onError);
  }

  /** The newest message told, by chatroom: for the next page to go on with. */
  get since() {
    return Object.fromEntries(this.#since);
  }

  /** Ends it. Nothing more is begun to be told. */
  stop() {
    this.#isOver = true;
    this.#attempt.abort();
  }

  async #run() {
    const { signal } = this.#options;
    const stop = () => this.stop();
    const again = () => this.#attempt.abort();
    // A timer that should have ended the poll tells that the machine was asleep.
    const isDue = () => this.#state !== 'live' || Date.now() > this.#pollIsDueMs;
    const retry = () => isDue() && again();
    const seen = () => document.visibilityState === 'visible' && retry();
    await undefined; // Nothing is told before `follow` has returned.
    if (String(this.#chatrooms).length + PAIR_MAX > QUERY_MAX) {
      throw new LoiterError(414, 'uri_too_long', "So many chatrooms do not fit into one poll: follow them by several, or 'all'.");
    }
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop);
    this.#retries.addEventListener('retry', retry);
    globalThis.addEventListener?.('online', again);
    globalThis.document?.addEventListener('visibilitychange', seen);
    try {
      this.#tell('connecting');
      await this.#repeat();
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#retries.removeEventListener('retry', retry);
      globalThis.removeEventListener?.('online', again);
      globalThis.document?.removeEventListener('visibilitychange', seen);
    }
  }

  /** Until it is over, or fails in a way that asking again would not mend. */
  async #repeat() {
    let failures = 0;
    while (!this.#isOver) {
      const { signal } = (this.#attempt = new AbortController());
      const begunMs = Date.now();
      try {
        const hasHeard = await this.#round(signal);
        const isEarly = !hasHeard && Date.now() - begunMs < EARLY_MS;
        if (isEarly) await pause(backOffMs(this.#backoffMs, failures, {}), this.#retries, {}, signal);
        failures = isEarly ? failures + 1 : 0;
      } catch (error) {
        this.#stockIsDueMs = 0;
        if (this.#isBroken) throw error;
        if (signal.aborted) continue;
        if (!error?.isTransient) throw error;
        if (Date.now() - begunMs > HELD_MS) failures = 0;
        const waitMs = backOffMs(this.#backoffMs, failures, error);
        this.#tell('waiting', error, waitMs);
        await pause(waitMs, this.#retries, error, signal).catch(() => {});
        failures += 1;
        this.#tell('connecting');
      }
    }
  }

  /** One poll, with what it needs before. Whether it has ended with messages, or with a sign of some. */
  async #round(signal) {
    if (Date.now() >= this.#stockIsDueMs) await this.#takeStock(signal);
    const pairs = this.#pairs();
    const isWhole = Object.keys(pairs).length === this.#ids.length;
    // What is said in the others between two polls, and is the last word there, is found by asking how far each is.
    if (!isWhole) this.#stockIsDueMs = Math.min(this.#stockIsDueMs, Date.now() + this.#options.timeout * 1000);
    const messages = await this.#poll(pairs, signal);
    const told = new Map(this.#ids.map((id) => [id, this.#since.get(id)]));
    // Of a chatroom that was joined meanwhile this may not be the first: the next poll asks for all of it.
    const isJoined = messages.some(({ chatroomid }) => !told.has(chatroomid));
    if (isJoined) this.#stockIsDueMs = 0;
    // One that does not follow on is asked for again, with what came before it: its chatroom is now among those that have a pair.
    const fresh = messages.filter(({ chatroomid, id }) => {
      const isNext = id === told.get(chatroomid) + 1;
      this.#newest.set(chatroomid, isNext ? Math.max(id, this.#newest.get(chatroomid)) : id);
      return isNext && told.set(chatroomid, id);
    });
    this.#ids = [...new Set([...fresh.map(({ chatroomid }) => chatroomid).reverse(), ...this.#ids])];
    if (fresh.length > 0) await this.#call(signal, this.#options.onMessages, fresh);
    for (const { chatroomid, id } of fresh) this.#since.set(chatroomid, id);
    return fresh.length > 0 || messages.some(({ chatroomid }) => !(chatroomid in pairs));
  }

  /**
   * `since` of as many chatrooms as there is room for: first of those where there is something to be told, then of those that were spoken in
   * most recently. Of the others the server tells what comes while the poll waits. Ids have no gaps: so a message that
   * does not follow shows that there was one between two polls, and its chatroom comes first the next time.
   */
  #pairs() {
    const isTold = (id) => this.#since.get(id) === this.#newest.get(id);
    const ordered = [...this.#ids.filter((id) => !isTold(id)), ...this.#ids.filter(isTold)];
    const pairs = {};
    let room = QUERY_MAX - String(this.#chatrooms).length;
    for (const id of ordered) {
      room -= `${id}:${this.#since.get(id)},`.length;
      if (room < 0) break;
      pairs[id] = this.#since.get(id);
    }
    return pairs;
  }

  /** The messages that end a poll; none where a gap was told instead. */
  async #poll(pairs, signal) {
    const { timeout, limit } = this.#options;
    const isOne = this.#chatrooms !== 'all' && this.#ids.length === 1;
    const options = { since: isOne ? pairs[this.#ids[0]] : pairs, timeout, limit, signal };
    this.#pollIsDueMs = Date.now() + timeout * 1000 + GRACE_MS;
    try {
      return await this.#client.longpoll(this.#chatrooms, options);
    } catch (error) {
      if (!['since_ahead', 'since_expired'].includes(error.code)) throw error;
      // Of one chatroom the server need not say which it is.
      const { chatroomid = this.#ids[0], first, last } = error;
      await this.#call(signal, this.#options.onGap, last === undefined ? { chatroomid, first } : { chatroomid, last });
      this.#since.set(chatroomid, last ?? first - 1);
      this.#newest.set(chatroomid, last ?? Math.max(first - 1, this.#newest.get(chatroomid)));
      return [];
    }
  }

  /**
   * Asks which chatrooms there are and how far each is: where a poll does not say `since` the server tells what comes, and what is
   * said between two polls is found only so. It is answered at once, which shows that the server is there.
   */
  async #takeStock(signal) {
    const isAll = this.#chatrooms === 'all';
    const rows = await this.#client.overview({ signal });
    this.#tell('live');
    await this.#call(signal, this.#options.onOverview, rows);
    const followed = isAll ? rows : rows.filter((row) => this.#chatrooms.includes(row.chatroomid));
    if (!isAll && followed.length < this.#chatrooms.length) {
      throw new LoiterError(500, 'not_a_participant', 'One of the chatrooms is not there, or you are not in it.');
    }
    for (const row of followed) {
      if (this.#since.has(row.chatroomid)) continue;
      const isJoined = isAll && this.#hasBegun;
      const since = isJoined ? await this.#call(signal, this.#options.onJoin, row) : row.last;
      this.#since.set(row.chatroomid, since ?? 0);
    }
    this.#ids = followed.map((row) => row.chatroomid);
    this.#newest = new Map(followed.map((row) => [row.chatroomid, row.last]));
    this.#hasBegun = true;
    this.#stockIsDueMs = isAll ? Date.now() + this.#options.timeout * 1000 : Infinity;
  }

  /** What a callback throws ends the following, be it what the client itself would bear. */
  async #call(signal, callback, told) {
    signal.throwIfAborted();
    try {
      return await callback?.(told);
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  #tell(state, error, waitMs) {
    if (this.#isOver || state === this.#state) return;
    this.#state = state;
    this.#options.onState?.(state, error, waitMs);
    if (state === 'live') this.#retries.dispatchEvent(new Event('answered'));
  }
}

/** The answer's value, or its error. */
function read({ ok, status, headers }, text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    // Somebody on the way has answered.
  }
  if (ok && body !== undefined) return body;
  const retryAfter = seconds(headers.get('retry-after'));
  if (typeof body?.error !== 'string') {
    throw new LoiterError(status, 'no_answer', `The answer, of status ${status}, is not loiter's.`, { retryAfter });
  }
  throw new LoiterError(status, body.error, body.message, { ...body, retryAfter });
}

/** `Retry-After` is a number of seconds or a date. */
function seconds(field) {
  if (field === null) return undefined;
  const given = /^\d+$/.test(field) ? Number(field) : (Date.parse(field) - Date.now()) / 1000;
  return Number.isNaN(given) ? undefined : Math.max(given, 0);
}

/** A query in which lists and pairs need no more room than they must. */
function readable(query) {
  return String(query).replaceAll('%2C', ',').replaceAll('%3A', ':');
}

/** It need be unique, and is no secret. Pages without TLS have no randomUUID, and Node 18 has no global crypto. */
function newNonce() {
  const numbers = [Date.now(), Math.random(), Math.random()];
  return globalThis.crypto?.randomUUID?.() ?? numbers.map((number) => number.toString(36)).join('-');
}

/** How long to wait before the next attempt: as long as was asked for, and then anything below a bound that doubles (full jitter). */
function backOffMs([firstMs, mostMs], failures, { retryAfter = 0 }) {
  return Math.min(retryAfter, 3600) * 1000 + Math.random() * Math.min(firstMs * 2 ** failures, mostMs);
}

/**
 * Waits. A browser that is online again ends it, and so does `retry`; and `answered`, where it was not asked to wait: what a following
 * has found out, sends need not find out after as long again.
 */
function pause(ms, retries, { retryAfter }, signal) {
  const ends = retryAfter > 0 ? ['retry'] : ['retry', 'answered'];
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      for (const type of ends) retries.removeEventListener(type, end);
      globalThis.removeEventListener?.('online', end);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end);
    for (const type of ends) retries.addEventListener(type, end);
    globalThis.addEventListener?.('online', end);
    if (signal?.aborted) end();
  });
}
