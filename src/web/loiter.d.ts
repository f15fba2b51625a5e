/**
 * The types of loiter.js, a client of loiter's API for browsers and for Node 18 and newer.
 *
 * Ids are numbers: exact up to 2^53 here, which is more messages than a chatroom will see.
 */

export interface User {
  userid: number;
  username: string;
}

export interface Message {
  /** Counts 1, 2, 3 … within its chatroom, without gaps. */
  id: number;
  chatroomid: number;
  userid: number;
  username: string;
  message: string;
  /** When it was saved, as ISO 8601 in UTC. */
  time: string;
}

export interface Chatroom {
  chatroomid: number;
  /** Only of one that has a name. */
  name?: string;
  /** The admin's userid. */
  admin: number;
  /** By the order in which they joined. */
  participants: User[];
}

export interface OverviewRow {
  chatroomid: number;
  /** Only of one that has a name. */
  name?: string;
  /** The admin's userid. */
  admin: number;
  /** How many there are. */
  participants: number;
  /** The newest message's id; 0 where nothing was ever said. */
  last: number;
}

export interface Done {
  status: 'ok';
}

/** Messages' ids by chatroom. */
export type Since = Record<number, number>;

export interface CallOptions {
  /** Aborts the call, which then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Why a call failed. */
export class LoiterError extends Error {
  constructor(
    status: number,
    code: string,
    message: string,
    more?: { chatroomid?: number; last?: number; first?: number; retryAfter?: number; cause?: unknown },
  );
  /** The HTTP status; 0 where no whole answer came. */
  status: number;
  /** The API's stable code, such as `not_a_participant`; `no_answer` where nobody answered, or not loiter. */
  code: string;
  /** With `since_ahead`: the newest message's id. */
  last?: number;
  /** With `since_expired`: the oldest message's id, or that of the next to come. */
  first?: number;
  /** With those two: which chatroom it is, of several. */
  chatroomid?: number;
  /** In how many seconds it is worth asking again. */
  retryAfter?: number;
  /** Whether the same may well succeed if it is asked again later. */
  get isTransient(): boolean;
}

export interface ClientOptions {
  /** The token of another client, to go on with its session. */
  session?: string;
  /** In place of the platform's own. */
  fetch?: typeof globalThis.fetch;
  /** `same-origin` by default. */
  credentials?: RequestCredentials;
  /** Milliseconds: the bound of the first wait after a failure, which doubles, and the bound of all. `[500, 20000]` by default. */
  backoffMs?: [first: number, most: number];
}

/** A user's calls. In Node it keeps the session's cookie itself; in a browser the browser does. */
export class Client {
  /** `base` is where loiter is, such as `https://chat.example`; in a page the default is where the page is from. */
  constructor(base?: string | URL, options?: ClientOptions);
  /** The session's token, where the platform keeps no cookies: it may be stored. A browser keeps it out of reach. */
  session: string | undefined;

  /** Does not log in. */
  register(username: string, password: string, options?: CallOptions): Promise<User>;
  login(username: string, password: string, options?: CallOptions): Promise<User>;
  /** The session's polls end, of every client. */
  logout(options?: CallOptions): Promise<Done>;
  /** The user of the session, which so lasts on. */
  whoami(options?: CallOptions): Promise<User>;
  /** Ends every other session of the user. */
  changePassword(password: string, newpassword: string, options?: CallOptions): Promise<Done>;

  /** The ids of the user's chatrooms, ascending. */
  chatrooms(options?: CallOptions): Promise<number[]>;
  /** The user's chatrooms, the most recently spoken in first. */
  overview(options?: CallOptions): Promise<OverviewRow[]>;
  /** Users whose name begins with `name`, the exact one first; an empty array where there is nobody. */
  getUser(name: string, options?: CallOptions): Promise<User[]>;
  newChatroom(options?: CallOptions & { name?: string }): Promise<{ chatroomid: number }>;
  renameChatroom(chatroomid: number, name: string, options?: CallOptions): Promise<Chatroom>;
  /** A user's id or name. */
  addToChatroom(chatroomid: number, usertoadd: number | string, options?: CallOptions): Promise<Chatroom>;
  leaveChatroom(chatroomid: number, options?: CallOptions): Promise<Done>;
  /** A user's id or name. */
  removeFromChatroom(chatroomid: number, usertoremove: number | string, options?: CallOptions): Promise<Chatroom>;
  chatroomParticipants(chatroomid: number, options?: CallOptions): Promise<User[]>;
  /** Who waits there for messages now. */
  presence(chatroomid: number, options?: CallOptions): Promise<User[]>;

  /** The newest messages older than `before`, or the newest of all, oldest first. */
  history(chatroomid: number, options?: CallOptions & { before?: number; limit?: number }): Promise<Message[]>;
  /** One poll: what `follow` is made of. `since` is a message's id, or for several chatrooms ids by chatroom. `timeout` is in seconds. */
  longpoll(
    chatrooms: number | number[] | 'all',
    options?: CallOptions & { since?: number | Since; timeout?: number; limit?: number },
  ): Promise<Message[]>;
  /** Ends the session's polls in a chatroom. */
  endpoll(
    chatroomid: number,
    options?: CallOptions & { limit?: number },
  ): Promise<Done & { ended: number; messages: Message[] }>;

  /**
   * Says something exactly once: repeated with the same nonce until it is answered with anything but trouble on the way or in the
   * database, or `signal` aborts, or the day is nearly over for which the server knows the nonce. Resolves to the message's id and the list of
   * most recent messages. Things that are not to change places are said one after the other's answer.
   */
  send(
    chatroomid: number,
    message: string,
    options?: CallOptions & { nonce?: string; limit?: number },
  ): Promise<{ id: number; messages: Message[] }>;

  /**
   * Tells all that is said in a chatroom, in several or in `'all'` of the user's: each message once, those of a chatroom in order,
   * whatever the network and the server do meanwhile.
   *
   * Of more chatrooms than fit into one request (several hundred) those that are silent for longest are not asked for by a pair: what is
   * said there between two polls may come late by two polls' `timeout`, and never out of order. A list of ids that leaves no room for
   * any pair (about 6,000 bytes) ends with `uri_too_long`.
   *
   * `onMessages` may be async: the next is told when it has returned, and what it has returned from counts as told. If it
   * throws, the following ends; so with every callback.
   */
  follow(
    chatrooms: number | number[] | 'all',
    onMessages: (messages: Message[]) => unknown,
    options?: FollowOptions,
  ): Following;

  /**
   * Tries at once what waits after a failure, sends and followings alike, whatever `Retry-After` has said: for a button such as "Try
   * now", or where the platform knows that the network is back (a browser's `online`, and a tab that is seen again, are heeded anyway).
   * A following whose attempt is not answered yet begins it anew. What works is left alone.
   */
  retryNow(): void;
}

export interface FollowOptions {
  /**
   * Goes on behind these messages: an earlier following's `since`. A chatroom that is not in it is told from now; among
   * `'all'` it counts as one that was joined meanwhile.
   */
  since?: Since | null;
  /** Seconds that each poll waits at most, 50 by default. A connection on which nothing comes for ten more counts as dead. */
  timeout?: number;
  /** Messages that are told at a time, at most. */
  limit?: number;
  /** Ends it, as `stop` does. */
  signal?: AbortSignal;
  /**
   * What `overview` answers, each time that it is asked: at first, after trouble, and among `'all'` where a chatroom is new and once
   * a `timeout`. So a list of the chatrooms is kept without asking again; told before `onJoin`.
   */
  onOverview?: (rows: OverviewRow[]) => unknown;
  /**
   * A chatroom is new among `'all'`. Returns the id of the message behind which to begin: 0, the default, for the first one; `row.last` for
   * what comes from now on. Nothing is lost of a chatroom from there on; what is said in the moment of joining may come late by `timeout`.
   */
  onJoin?: (row: OverviewRow) => number | void | Promise<number | void>;
  /**
   * With `first`: what comes before that message is kept no longer; goes on with it. With `last`: the server knows less than
   * was told already, as after a backup was restored; goes on behind that message, with ids that may have been told for other messages.
   */
  onGap?: (gap: { chatroomid: number; first: number } | { chatroomid: number; last: number }) => unknown;
  /** For a mark such as "connecting again": told when it changes; `waiting` after the error, `waitMs` before the next attempt. */
  onState?: (state: 'connecting' | 'live' | 'waiting', error?: LoiterError, waitMs?: number) => void;
  /**
   * It has ended by itself: the session has, or the user is not in one of the chatrooms (of `'all'` it goes on with
   * the rest), or a callback has thrown. Whoever gives none looks at `done`.
   */
  onError?: (error: unknown) => void;
}

export interface Following {
  /** The newest message told, by chatroom: to be stored, and given to `follow` by the next page. */
  readonly since: Since;
  /** Resolves when it has been stopped and nothing more will be told; rejects with what ended it. */
  readonly done: Promise<void>;
  /** Ends it. Nothing more is begun to be told. */
  stop(): void;
}
