// A server in this process that keeps the contract of overview and longpoll, of several chatrooms too, behind a `fetch` that fails
// as the test wants. One user, and chatrooms that they join and leave. What is sent is answered, and goes nowhere.

const json = (status, body, headers) => new Response(JSON.stringify(body), { status, headers });
const failure = (status, error, more, headers) => json(status, { error, message: 'A sentence.', ...more }, headers);

export class FakeLoiter {
  /** By id: all that was said, from which id on it is kept, and whether the user is in it. */
  #rooms = new Map();
  #polls = new Set();
  /** One for each request to come: `(answer, signal) => Response`, or throws. Those without one are answered. */
  faults = [];
  /** The queries of the polls that came. */
  polls = [];
  overviews = 0;
  lastUrl;
  /** Bytes of what the longest poll says of chatrooms and `since`. */
  longest = 0;
  #spoken = 0;

  fetch = async (url, { signal }) => {
    this.lastUrl = url;
    const { pathname, searchParams: query } = new URL(url, 'http://fake');
    const fault = this.faults.shift() ?? ((answer) => answer());
    const answer = () => {
      if (pathname === '/message/overview/') return this.#overview();
      if (pathname === '/message/sendMessage/') return json(200, [], { 'Loiter-Message-Id': '3' });
      const asked = url.replace(/^.*chatroomid=|since=|&timeout=.*$/g, '');
      this.longest = Math.max(this.longest, asked.length);
      if (pathname === '/message/longpoll/') return this.#poll(query, signal);
      return failure(404, 'not_found');
    };
    return fault(answer, signal);
  };

  join(chatroomid) {
    const room = this.#rooms.get(chatroomid) ?? { said: [], first: 1 };
    this.#rooms.set(chatroomid, { ...room, isIn: true });
    for (const poll of [...this.#polls]) poll.look();
  }

  leave(chatroomid) {
    this.#rooms.get(chatroomid).isIn = false;
    for (const poll of [...this.#polls]) if (poll.isOf(chatroomid)) poll.answer();
  }

  say(chatroomid, message) {
    const { said } = Object.assign(this.#rooms.get(chatroomid), { spoken: (this.#spoken += 1) });
    said.push({ id: said.length + 1, chatroomid, userid: 1, username: 'ann', message });
    for (const poll of [...this.#polls]) poll.look();
  }

  /** Keeps only what begins with `first`. */
  expire(chatroomid, first) {
    this.#rooms.get(chatroomid).first = first;
  }

  /** A backup: what came behind `last` was never said. */
  restore(chatroomid, last) {
    this.#rooms.get(chatroomid).said.length = last;
  }

  get parked() {
    return this.#polls.size;
  }

  /** Ends what is parked with nothing new. */
  endPolls() {
    for (const poll of [...this.#polls]) poll.answer();
  }

  #overview() {
    this.overviews += 1;
    const mine = [...this.#rooms].filter(([, { isIn }]) => isIn).sort(([, a], [, b]) => (b.spoken ?? 0) - (a.spoken ?? 0));
    return json(200, mine.map(([chatroomid, { said }]) => ({ chatroomid, admin: 1, participants: 1, last: said.length })));
  }

  #poll(query, signal) {
    this.polls.push(Object.fromEntries(query));
    const given = query.get('chatroomid');
    const isAll = given === 'all';
    const listed = isAll ? [] : given.split(',').map(Number);
    const ids = () => (isAll ? [...this.#rooms].filter(([, { isIn }]) => isIn).map(([id]) => id) : listed).sort((a, b) => a - b);
    const since = this.#since(query.get('since'), isAll || listed.length > 1, listed);
    const begun = new Map([...this.#rooms].map(([id, { said }]) => [id, said.length]));
    const from = (id) => since.get(id) ?? begun.get(id) ?? 0;
    const refused = () => this.#refused(ids(), since, isAll);
    const newer = () => ids().flatMap((id) => this.#rooms.get(id).said.slice(from(id)));
    const limited = () => json(200, newer().slice(0, Number(query.get('limit') ?? 50)));
    if (refused() || newer().length > 0) return refused() ?? limited();
    return new Promise((resolve, reject) => {
      const poll = { isOf: (id) => listed.includes(id), answer: () => end() || resolve(refused() ?? limited()), look: () => newer().length > 0 && poll.answer() };
      const abort = () => end() || reject(signal.reason);
      const timer = setTimeout(() => poll.answer(), Number(query.get('timeout')) * 1000);
      const end = () => {
        this.#polls.delete(poll);
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
      };
      this.#polls.add(poll);
      signal.addEventListener('abort', abort);
    });
  }

  #since(given, isPairs, [only]) {
    if (given === null) return new Map();
    if (isPairs !== given.includes(':')) throw new Error(`since=${given}`);
    return new Map(isPairs ? given.split(',').map((pair) => pair.split(':').map(Number)) : [[only, Number(given)]]);
  }

  #refused(ids, since, isAll) {
    const where = (chatroomid) => (isAll || ids.length > 1 ? { chatroomid } : {});
    if (ids.some((id) => !this.#rooms.get(id)?.isIn)) return failure(500, 'not_a_participant');
    // Of chatrooms that the user is not in pairs are passed over.
    for (const [id, last] of [...since].filter(([id]) => ids.includes(id))) {
      const { said, first } = this.#rooms.get(id);
      if (last > said.length) return failure(409, 'since_ahead', { ...where(id), last: said.length });
      if (last + 1 < first) return failure(410, 'since_expired', { ...where(id), first });
    }
    return undefined;
  }
}

/** Faults. */
export const silent = (answer, signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
export const lost = () => {
  throw new TypeError('the network is down');
};
export const answerLost = async (answer) => {
  await answer();
  throw new TypeError('the connection broke');
};
export const overloaded = (retryAfter) => () => failure(503, 'overloaded', {}, retryAfter && { 'Retry-After': retryAfter });
export const storageFailed = () => failure(500, 'storage_failed');
export const cutAfter = (ms) => () => new Promise((_, reject) => setTimeout(() => reject(new TypeError('the connection broke')), ms));
export const loggedOut = () => failure(401, 'no_session');
export const captive = () => new Response('<h1>Hotel</h1>', { status: 200 });
