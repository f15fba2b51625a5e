/**
 * The user's chatrooms: what is known of them, and what of them was read. Nothing here knows the page.
 *
 * One poll follows all of them. Messages are kept of those that were opened, and always as a run without gaps that ends with the
 * newest that was told; of the others it is known how far they are, which is enough to count what is unread.
 */

/** Messages that one look into the past asks for. */
const PAGE = 50;
/** Messages that a chatroom keeps which is not open. */
const KEPT = 200;
/** Seconds that a poll waits: so often it is seen that somebody else has added the user somewhere. */
const POLL_S = 25;
/** Questions about who is in a chatroom, at a time: a browser has six connections for a site. */
const QUESTIONS = 2;

/** One of the user's chatrooms. */
export class Chatroom {
  id;
  name;
  admin;
  /** How many are in it; and who, once that is known. */
  count = 0;
  people;
  /** The ids of those who wait there; undefined where nobody knows. */
  present;
  /** The newest message's id, and that of the last one read. */
  last = 0;
  read = 0;
  /** A run of messages, oldest first. */
  messages = [];
  /** Whether messages are kept at all. */
  isKept = false;
  /** Whether there is nothing before them. */
  hasAll = false;

  constructor(id) {
    this.id = id;
  }

  get unread() {
    return Math.max(this.last - this.read, 0);
  }

  /** The newest message that is kept. */
  get newest() {
    return this.messages.at(-1)?.id ?? 0;
  }

  /** Its name, or who else is in it. */
  title(user) {
    if (this.name) return this.name;
    if (!this.people) return `Chatroom ${this.id}`;
    const others = this.people.filter(({ userid }) => userid !== user.userid);
    return others.map(({ username }) => username).join(', ') || 'Only you';
  }

  /** Takes in messages, in any order and some of them again. Of what then has a gap, the newest run stays. */
  add(messages) {
    const byId = new Map([...this.messages, ...messages].map((message) => [message.id, message]));
    const sorted = [...byId.values()].sort((one, other) => one.id - other.id);
    const begin = sorted.findLastIndex((message, at) => at > 0 && message.id !== sorted[at - 1].id + 1);
    this.messages = sorted.slice(Math.max(begin, 0));
    if (begin > 0) this.hasAll = false;
    if (this.messages[0]?.id === 1) this.hasAll = true;
    this.last = Math.max(this.last, this.newest);
  }

  /** Forgets what is long ago: it can be asked for again. */
  trim() {
    if (this.messages.length <= KEPT) return;
    this.messages = this.messages.slice(-KEPT);
    this.hasAll = false;
  }

  /** The server knows less than was told: what is kept is of another history. */
  goBackTo(last) {
    Object.assign(this, { messages: [], isKept: false, hasAll: false, last, read: Math.min(this.read, last) });
  }
}

/** All of them. Dispatches `change`, `stock` when it was asked which there are, `messages` with those that were told, `state` and `end`. */
export class Chatrooms extends EventTarget {
  #client;
  #user;
  #storage;
  #byId = new Map();
  /** Ids, the most recently spoken in first. */
  #order = [];
  #following;
  /** Who is asked about: chatrooms without a name first of all. */
  #questions = [];
  #asked = 0;
  /** The one that is looked at. */
  open;
  /** Whether the server has answered and nothing has failed since. */
  #isLive = false;

  constructor(client, user, storage) {
    super();
    this.#client = client;
    this.#user = user;
    this.#storage = storage;
  }

  /** The most recently spoken in first. */
  get all() {
    return this.#order.map((id) => this.#byId.get(id));
  }

  get unread() {
    return this.all.reduce((sum, { unread }) => sum + unread, 0);
  }

  at(id) {
    return this.#byId.get(id);
  }

  follow() {
    this.#following = this.#client.follow('all', (messages) => this.#told(messages), {
      since: {},
      timeout: POLL_S,
      onOverview: (rows) => this.#takeStock(rows),
      onJoin: ({ chatroomid, last }) => this.#begin(this.#byId.get(chatroomid), last),
      onGap: ({ chatroomid, last }) => this.#gap(this.#byId.get(chatroomid), last),
      onState: (state, _, waitMs) => this.#stateIs(state, waitMs),
      onError: (error) => this.#dispatch('end', error),
    });
  }

  stop() {
    this.#following?.stop();
  }

  /** Asks at once, after having changed something. */
  async refresh() {
    this.#takeStock(await this.#client.overview());
  }

  /** The newest messages of a chatroom, where they are not there yet. */
  async load(room) {
    // Once more where something was said meanwhile, and no more where there is less than was told.
    let reached = -1;
    while (!room.isKept || (room.newest < room.last && room.newest > reached)) {
      reached = room.newest;
      const messages = await this.#client.history(room.id, { limit: PAGE });
      room.isKept = true;
      room.add(messages);
      if (messages.length < PAGE) room.hasAll = true;
    }
    this.#dispatch('change');
  }

  /** What was said before the messages that are there. */
  async loadEarlier(room) {
    const [{ id: before }] = room.messages;
    const messages = await this.#client.history(room.id, { before, limit: PAGE });
    room.add(messages);
    if (messages.length < PAGE) room.hasAll = true;
    this.#dispatch('change');
  }

  /** Who is in a chatroom, asked about anew. */
  async loadPeople(room) {
    this.know(room, await this.#client.chatroomParticipants(room.id));
  }

  /** Who waits there now: the user does, whose poll may be between two. */
  async loadPresent(room) {
    if (!this.#isLive) return;
    const present = await this.#client.presence(room.id).catch(() => undefined);
    const ids = present?.map(({ userid }) => userid);
    room.present = ids && this.#isLive ? new Set([this.#user.userid, ...ids]) : undefined;
    this.#dispatch('change');
  }

  /** Takes in who is in a chatroom. */
  know(room, people) {
    room.people = people;
    room.count = people.length;
    this.#dispatch('change');
  }

  /** All that is there was seen. */
  markRead(room) {
    if (room.read === room.last) return;
    room.read = room.last;
    this.#saveMarks();
    this.#dispatch('change');
  }

  /** Another tab has read something. */
  takeMarks() {
    const marks = this.#marks() ?? {};
    for (const room of this.all) room.read = Math.max(room.read, Math.min(marks[room.id] ?? 0, room.last));
    this.#dispatch('change');
  }

  #stateIs(state, waitMs) {
    if (state === 'live') this.#isLive = true;
    if (state === 'waiting') {
      this.#isLive = false;
      // Who was here may have gone.
      for (const room of this.all) room.present = undefined;
      this.#dispatch('change');
    }
    this.#dispatch('state', { state, waitMs });
  }

  #takeStock(rows) {
    const marks = this.#marks();
    for (const { chatroomid: id, name, admin, participants, last } of rows) {
      const isNew = !this.#byId.has(id);
      const room = this.#byId.get(id) ?? new Chatroom(id);
      this.#byId.set(id, room);
      Object.assign(room, { name, admin, count: participants, last: Math.max(room.last, last) });
      // Nobody knows what was read elsewhere: on a device that is new nothing counts as unread.
      if (isNew) room.read = Math.min(marks ? (marks[id] ?? 0) : last, last);
      if (room.people?.length !== participants && !(room.name && !room.people)) this.#question(room);
    }
    this.#order = rows.map(({ chatroomid }) => chatroomid);
    for (const id of this.#byId.keys()) if (!this.#order.includes(id)) this.#byId.delete(id);
    this.#saveMarks();
    this.#dispatch('change');
    this.#dispatch('stock');
  }

  /** Behind which message to begin: what is kept already, or else what history has. */
  #begin(room, last) {
    return room?.isKept ? room.newest : last;
  }

  #gap(room, last) {
    if (room && last !== undefined) room.goBackTo(last);
    this.#dispatch('change');
  }

  #told(messages) {
    const byChatroom = Map.groupBy ? Map.groupBy(messages, ({ chatroomid }) => chatroomid) : grouped(messages);
    for (const [id, told] of byChatroom) {
      const room = this.#byId.get(id);
      if (room) this.#tell(room, told);
    }
    this.#dispatch('messages', messages);
    this.#dispatch('change');
  }

  #tell(room, told) {
    for (const { id, userid } of told) {
      // What the user has said elsewhere is no news.
      if (userid === this.#user.userid && room.read === id - 1) room.read = id;
      if (id > room.last) room.last = id;
    }
    if (room.isKept) room.add(told);
    if (room.id !== this.open) room.trim();
    this.#order = [room.id, ...this.#order.filter((id) => id !== room.id)];
    const isStranger = ({ userid }) => !room.people?.some((person) => person.userid === userid);
    if (room.people && told.some(isStranger)) this.#question(room);
  }

  #question(room) {
    if (!this.#questions.includes(room)) this.#questions.push(room);
    if (this.#asked < QUESTIONS) this.#askAll();
  }

  /** What is not answered is asked again with the next stock. */
  async #askAll() {
    this.#asked += 1;
    for (let room; (room = this.#questions.shift()); ) await this.loadPeople(room).catch(() => {});
    this.#asked -= 1;
  }

  #marks() {
    return JSON.parse(this.#storage.getItem(this.#key));
  }

  #saveMarks() {
    this.#storage.setItem(this.#key, JSON.stringify(Object.fromEntries(this.all.map(({ id, read }) => [id, read]))));
  }

  get #key() {
    return `loiter.read.${this.#user.userid}`;
  }

  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function grouped(messages) {
  const groups = new Map();
  for (const message of messages) groups.set(message.chatroomid, [...(groups.get(message.chatroomid) ?? []), message]);
  return groups;
}
