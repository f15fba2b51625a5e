// What a following does, held against a made-up server whose faults are the test's.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { pending, until, waits } from './time.mjs';
import { first, following, heard, numbers, parked, settled } from './following.mjs';
import { FakeLoiter, answerLost, captive, cutAfter, loggedOut, lost, overloaded, silent, storageFailed } from './fake.mjs';
import { Client } from './module.mjs';

const LIMIT = { timeout: 60_000 };

test('from now, one chatroom', LIMIT, async (t) => {
  const { server, told, follow, states } = following(t, 7, {}, { rooms: { 7: 3, 9: 0 } });
  await parked(server);
  server.say(7, 'a');
  server.say(9, 'elsewhere');
  server.say(7, 'b');
  await heard(told, 2);
  assert.deepEqual(told.texts, { 7: ['a', 'b'] });
  await until(() => follow.since[7] === 5);
  assert.deepEqual(follow.since, { 7: 5 });
  assert.deepEqual(server.polls[0], { chatroomid: '7', since: '3', timeout: '50' });
  assert.deepEqual(states, ['connecting', 'live']);
});

test('several chatrooms, with a since for each', LIMIT, async (t) => {
  const { server, told, follow } = following(t, [9, '7', 7], { limit: 2 }, { rooms: { 7: 3, 8: 1, 9: 4 } });
  await parked(server);
  assert.deepEqual(Object.keys(server.polls[0]), ['chatroomid', 'since', 'timeout', 'limit']);
  // In which nothing takes more room than it must, for there may be many.
  assert.match(server.lastUrl, /chatroomid=9,7&since=7:3,9:4&/);
  for (const id of [9, 8, 7, 9, 7, 7]) server.say(id, 'x');
  await heard(told, 5);
  assert.deepEqual(told.texts, { 7: ['x', 'x', 'x'], 9: ['x', 'x'] });
  await parked(server);
  assert.deepEqual(follow.since, { 7: 6, 9: 6 });
});

test('goes on behind a since that was stored', LIMIT, async (t) => {
  const { told, follow } = following(t, [7, 9], { since: JSON.parse('{"7":1,"5":2}') }, { rooms: { 7: 3, 9: 4 } });
  await heard(told, 2);
  assert.deepEqual(told.texts, { 7: ['old 2', 'old 3'] });
  await until(() => follow.since[7] === 3);
  assert.deepEqual(follow.since, { 5: 2, 7: 3, 9: 4 });
});

test('what fails is asked again, later each time and never at once', LIMIT, async (t) => {
  const random = Math.random;
  t.after(() => (Math.random = random));
  Math.random = () => 0.5;
  const { server, told, states } = following(t, 7);
  await parked(server);
  waits.length = 0;
  server.faults = [lost, overloaded('3'), captive, storageFailed, ...Array(4).fill(lost)];
  server.endPolls();
  await until(() => server.faults.length === 0);
  server.say(7, 'meanwhile');
  await heard(told, 1);
  const deadlines = [30_000, 50_000, 60_000];
  // The first is for a poll that somebody has ended at once.
  assert.deepEqual(waits.filter((ms) => !deadlines.includes(ms)), [250, 500, 4000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
  assert.deepEqual(states.slice(0, 5), ['connecting', 'live', 'waiting', 'connecting', 'waiting']);
  assert.equal(states.at(-1), 'live');
});

test('a network that cuts what is silent for long is no server in trouble', LIMIT, async (t) => {
  const random = Math.random;
  t.after(() => (Math.random = random));
  Math.random = () => 0.5;
  const { server } = following(t, 7);
  await parked(server);
  // Each poll, and none of the overviews.
  server.faults = Array(4).fill([cutAfter(20_000), undefined]).flat();
  server.endPolls();
  waits.length = 0;
  await until(() => server.faults.length === 0 && server.parked === 1);
  // The first that is cut comes behind one that was ended at once.
  assert.deepEqual(waits.filter((ms) => ms < 5000), [250, 250, 250, 250, 250]);
});

test('what a lost answer has told is told once', LIMIT, async (t) => {
  const { server, told } = following(t, 7);
  for (const text of ['a', 'b', 'c']) {
    await parked(server);
    server.faults = [answerLost];
    server.endPolls();
    await until(() => server.faults.length === 0 && server.parked === 1);
    server.say(7, text);
  }
  await heard(told, 3);
  assert.deepEqual(told.texts[7], ['a', 'b', 'c']);
});

test('a connection that is dead is given up a little after the poll should have ended', LIMIT, async (t) => {
  const { server, told, states } = following(t, 7, { timeout: 5 });
  await parked(server);
  const begunMs = Date.now();
  server.faults = [silent];
  server.endPolls();
  await until(() => server.faults.length === 0);
  server.say(7, 'a');
  await heard(told, 1);
  const tookMs = Date.now() - begunMs;
  assert.ok(tookMs > 15_000 && tookMs < 17_000, `${tookMs} ms`);
  assert.deepEqual(states.slice(2), ['waiting', 'connecting', 'live']);
});

test('it stops cleanly, whatever it is at', LIMIT, async (t) => {
  const nothing = () => pending() === 0;
  for (const chatrooms of [7, 'all']) {
    // Before it has begun; while it asks; while a poll waits.
    for (const ready of [() => true, (server) => server.overviews === 1, (server) => server.parked === 1]) {
      const { server, follow } = following(t, chatrooms);
      await until(() => ready(server));
      follow.stop();
      follow.stop();
      assert.equal(await settled(follow.done), undefined);
      assert.ok(server.parked === 0 && nothing());
    }
    // While it waits after a failure, by a signal.
    const controller = new AbortController();
    const { server, follow, states } = following(t, chatrooms, { signal: controller.signal });
    server.faults = [lost, overloaded('1000')];
    await until(() => states.filter((state) => state === 'waiting').length === 2);
    controller.abort();
    await settled(follow.done);
    assert.ok(nothing());
    assert.equal(states.at(-1), 'waiting');
  }
  const { follow, states } = following(t, 7, { signal: AbortSignal.abort() });
  await settled(follow.done);
  assert.deepEqual(states, []);
});

test('nothing is told after stop', LIMIT, async (t) => {
  const calls = [];
  const { server, follow } = following(t, 7, {}, { onMessages: (messages) => calls.push(messages) });
  await parked(server);
  server.say(7, 'a');
  follow.stop();
  await settled(follow.done);
  assert.deepEqual(calls, []);
});

test('what is being told counts when it has been', LIMIT, async (t) => {
  let finish;
  const calls = [];
  const onMessages = (messages) => new Promise((resolve) => {
    calls.push(messages.map(({ id }) => id));
    finish = resolve;
  });
  const { server, follow } = following(t, 7, {}, { onMessages });
  await parked(server);
  server.say(7, 'a');
  await until(() => calls.length === 1);
  server.say(7, 'b');
  server.say(7, 'c');
  assert.deepEqual([follow.since[7], server.parked], [0, 0]);
  finish();
  await until(() => calls.length === 2);
  assert.deepEqual([follow.since[7], calls], [1, [[1], [2, 3]]]);
  follow.stop();
  finish();
  await settled(follow.done);
  assert.equal(follow.since[7], 3);
});

test('it ends by what the server says or a callback throws', LIMIT, async (t) => {
  for (const [fault, code] of [[loggedOut, 'no_session'], [() => new Response('no', { status: 404 }), 'no_answer']]) {
    const { server, follow } = following(t, 'all');
    await parked(server);
    server.faults = [fault];
    server.endPolls();
    await assert.rejects(settled(follow.done), { code });
    assert.equal(pending(), 0);
  }
  const foreign = following(t, [7, 8]);
  await assert.rejects(settled(foreign.follow.done), { code: 'not_a_participant' });
  const left = following(t, [7, 9]);
  await parked(left.server);
  left.server.leave(9);
  await assert.rejects(settled(left.follow.done), { status: 500, code: 'not_a_participant' });

  // One that it would bear if the network had it.
  const error = await new Client('', { fetch: lost }).whoami().catch((reason) => reason);
  assert.ok(error.isTransient);
  const told = await settled(new Promise((resolve) => {
    const onMessages = () => {
      throw error;
    };
    const { server } = following(t, 7, { onError: resolve }, { onMessages });
    parked(server).then(() => server.say(7, 'a'));
  }));
  assert.equal(told, error);

  // Nor is it told again by one that gives no reason.
  let calls = 0;
  const onMessages = () => Promise.reject((calls += 1) && undefined);
  const { server, follow } = following(t, 7, {}, { onMessages });
  await parked(server);
  server.say(7, 'a');
  await settled(follow.done.catch(() => {}));
  assert.equal(calls, 1);
});

test('a gap is told, and then what comes behind it', LIMIT, async (t) => {
  const events = [];
  const onGap = async (gap) => {
    await new Promise((resolve) => setTimeout(resolve, 5000));
    events.push(gap);
  };
  const onMessages = (messages) => events.push(...messages.map(({ chatroomid, id }) => `${chatroomid}:${id}`));
  const { server, follow } = following(t, [7, 9], { since: { 7: 1, 9: 6 }, onGap }, { rooms: { 7: 5, 9: 6 }, onMessages });
  server.expire(7, 4);
  server.restore(9, 2);
  await parked(server);
  assert.deepEqual(events, [{ chatroomid: 7, first: 4 }, { chatroomid: 9, last: 2 }, '7:4', '7:5']);
  assert.deepEqual(follow.since, { 7: 5, 9: 2 });
  server.say(9, 'a');
  await until(() => follow.since[9] === 3);
  assert.equal(events.at(-1), '9:3');
});

test('a message out of turn is asked for again, with what came before it', LIMIT, async (t) => {
  const { server, told, follow } = following(t, 7, {}, { rooms: { 7: 2 } });
  await parked(server);
  /** A server that has passed one over. */
  const lossy = async (answer) => {
    const messages = await (await answer()).json();
    return new Response(JSON.stringify(messages.slice(1)));
  };
  server.faults = [(answer) => (['a', 'b', 'c'].forEach((text) => server.say(7, text)), lossy(answer))];
  server.endPolls();
  await heard(told, 3);
  assert.deepEqual(told.texts, { 7: ['a', 'b', 'c'] });
  assert.deepEqual(follow.since, { 7: 5 });
});

test('of one chatroom a gap need not say which it is', LIMIT, async (t) => {
  const gaps = [];
  const { server, follow } = following(t, 7, { since: { 7: 9 }, onGap: async (gap) => gaps.push(gap) }, { rooms: { 7: 5 } });
  await parked(server);
  assert.deepEqual([gaps, follow.since], [[{ chatroomid: 7, last: 5 }], { 7: 5 }]);
});

test('chatrooms that are joined meanwhile, from their first message', LIMIT, async (t) => {
  const { server, told, follow } = following(t, 'all', { timeout: 5 }, { rooms: { 7: 2 } });
  await parked(server);
  assert.equal(server.polls[0].since, '7:2');
  // While a poll waits: at once.
  const joinedMs = Date.now();
  server.join(5);
  server.say(5, 'a');
  server.say(5, 'b');
  await heard(told, 2);
  assert.equal(Date.now(), joinedMs);
  // Between two polls, and then while one waits.
  await parked(server);
  server.faults = [first(() => (server.join(6), server.say(6, 'c')))];
  server.endPolls();
  await parked(server);
  server.say(6, 'd');
  await heard(told, 4);
  // Between two polls, and then no more: it is late, and it is told.
  await parked(server);
  server.faults = [first(() => (server.join(8), server.say(8, 'e')))];
  server.endPolls();
  await parked(server);
  const begunMs = Date.now();
  await heard(told, 5);
  assert.equal(Date.now() - begunMs, 5000);
  assert.deepEqual(told.texts, { 5: ['a', 'b'], 6: ['c', 'd'], 8: ['e'] });
  await until(() => follow.since[8] === 1);
  assert.deepEqual(follow.since, { 5: 2, 6: 2, 7: 2, 8: 1 });
});

test('the application says where to begin in a chatroom that was joined', LIMIT, async (t) => {
  const [rows, ids] = [[], []];
  const onJoin = async (row) => {
    rows.push(row);
    return row.last;
  };
  const onMessages = (messages) => ids.push(...messages.map(({ id }) => id));
  const { server, follow } = following(t, 'all', { onJoin, since: {} }, { rooms: { 7: 3 }, onMessages });
  await parked(server);
  server.say(7, 'x');
  await until(() => follow.since[7] === 4);
  assert.deepEqual([rows, ids], [[{ chatroomid: 7, admin: 1, participants: 1, last: 3 }], [4]]);
});

test('the application is told each time which chatrooms there are', LIMIT, async (t) => {
  const told = [];
  const onOverview = (rows) => void told.push(rows.map(({ chatroomid, last }) => `${chatroomid}:${last}`).join());
  const onJoin = ({ chatroomid }) => void told.push(`joined ${chatroomid}`);
  const { server } = following(t, 'all', { onOverview, onJoin, since: {} }, { rooms: { 7: 3 } });
  await parked(server);
  assert.deepEqual(told, ['7:3', 'joined 7']);
  server.join(9);
  await until(() => told.length === 4);
  assert.deepEqual(told.slice(2), ['7:3,9:0', 'joined 9']);
  await parked(server);
  server.leave(7);
  await until(() => told.length === 5);
  assert.deepEqual(told.slice(4), ['9:0']);
});

test('whoever has no chatrooms yet is told the messages of the first', LIMIT, async (t) => {
  const { server, told } = following(t, 'all', {}, { rooms: {} });
  await parked(server);
  assert.deepEqual(server.polls[0], { chatroomid: 'all', timeout: '50' });
  server.join(3);
  server.say(3, 'a');
  await heard(told, 1);
});

test('whoever leaves one of all and comes back misses nothing and hears nothing twice', LIMIT, async (t) => {
  const { server, told } = following(t, 'all', {}, { rooms: { 7: 1, 9: 1 } });
  await parked(server);
  server.say(9, 'a');
  await heard(told, 1);
  await parked(server);
  server.leave(9);
  await until(() => server.polls.at(-1).since === '7:1' && server.parked === 1);
  server.say(9, 'b');
  server.join(9);
  server.say(9, 'c');
  await heard(told, 3);
  assert.deepEqual(told.texts[9], ['a', 'b', 'c']);
});

/** What a browser tells its pages: of the events that are used here each object has one. */
class Events {
  listeners = new Set();
  addEventListener = (_, listener) => this.listeners.add(listener);
  removeEventListener = (_, listener) => this.listeners.delete(listener);
  tell = () => [...this.listeners].forEach((listener) => listener());
}

test('a browser that is online again, or seen again, tries at once', LIMIT, async (t) => {
  const [page, document] = [new Events(), new Events()];
  Object.assign(globalThis, page, { document: Object.assign(document, { visibilityState: 'visible' }) });
  t.after(() => ['addEventListener', 'removeEventListener', 'document'].forEach((name) => delete globalThis[name]));
  const { server, states, follow } = following(t, 7);
  const tries = async ({ tell }) => {
    const [before, begunMs] = [server.overviews, Date.now()];
    tell();
    await until(() => server.overviews === before + 1 && server.parked === 1);
    assert.equal(Date.now(), begunMs);
  };
  await parked(server);
  // What waits may be on a connection that went with the network; but a tab that is looked at is no reason to ask.
  await tries(page);
  document.tell();
  assert.deepEqual([states, server.parked], [['connecting', 'live'], 1]);
  for (const target of [page, document]) {
    server.faults = [overloaded('1000')];
    server.endPolls();
    await until(() => states.at(-1) === 'waiting');
    await tries(target);
  }
  document.visibilityState = 'hidden';
  server.faults = [overloaded('1000')];
  server.endPolls();
  await until(() => states.at(-1) === 'waiting');
  document.tell();
  assert.equal(states.at(-1), 'waiting');
  follow.stop();
  await settled(follow.done);
  assert.deepEqual([page.listeners.size, document.listeners.size], [0, 0]);
});

test('a browser that is online again repeats a send at once', LIMIT, async (t) => {
  const page = new Events();
  Object.assign(globalThis, page);
  t.after(() => ['addEventListener', 'removeEventListener'].forEach((name) => delete globalThis[name]));
  const server = new FakeLoiter();
  server.faults = [overloaded('1000')];
  const sent = new Client('', { fetch: server.fetch }).send(7, 'hi');
  await until(() => page.listeners.size === 1);
  const begunMs = Date.now();
  page.tell();
  assert.deepEqual(await settled(sent), { id: 3, messages: [] });
  assert.deepEqual([Date.now(), page.listeners.size, pending()], [begunMs, 0, 0]);
});

test('what waits after a failure is tried at once where somebody asks for it', LIMIT, async (t) => {
  const waitsMs = [];
  const states = [];
  const onState = (state, _, waitMs) => states.push(state) && waitsMs.push(waitMs);
  const { server, client, follow } = following(t, 7, { onState });
  const atOnce = async (holds) => {
    const begunMs = Date.now();
    client.retryNow();
    await until(holds);
    assert.equal(Date.now(), begunMs);
  };
  const isLive = () => server.parked === 1 && states.at(-1) === 'live';
  await until(isLive);
  // What works is left alone.
  client.retryNow();
  assert.deepEqual([states, server.parked], [['connecting', 'live'], 1]);
  server.faults = [overloaded('1000')];
  server.endPolls();
  await until(() => states.at(-1) === 'waiting');
  const waitMs = waitsMs.at(-1);
  assert.ok(waitMs >= 1_000_000 && waitMs < 1_001_000, `${waitMs} ms`);
  assert.ok(waits.includes(waitMs));
  await atOnce(isLive);
  // An attempt that nobody answers.
  server.faults = [overloaded('0'), silent];
  server.endPolls();
  await until(() => server.faults.length === 0 && states.at(-1) === 'connecting');
  await atOnce(isLive);
  assert.deepEqual(states.slice(2), ['waiting', 'connecting', 'live', 'waiting', 'connecting', 'live']);
  assert.ok(waitsMs.every((ms, at) => (ms === undefined) === (states[at] !== 'waiting')));

  server.faults = [overloaded('1000')];
  const sent = client.send(7, 'hi');
  const before = waits.length;
  await until(() => waits.slice(before).some((ms) => ms >= 1_000_000));
  const begunMs = Date.now();
  client.retryNow();
  assert.deepEqual(await settled(sent), { id: 3, messages: [] });
  assert.equal(Date.now(), begunMs);
  follow.stop();
  client.retryNow();
  await settled(follow.done);
  assert.deepEqual([states.at(-1), pending()], ['live', 0]);
});

test('a send waits no longer than a following of the same client, unless it was asked to', LIMIT, async (t) => {
  const random = Math.random;
  t.after(() => (Math.random = random));
  for (const [fault, isAsked] of [[lost, false], [overloaded('30'), true]]) {
    const { server, client, states } = following(t, 7);
    await parked(server);
    Math.random = () => 0.99;
    server.faults = [fault];
    const [sent, before] = [client.send(7, 'hi'), waits.length];
    await until(() => waits.length > before);
    // The following waits for nothing: no time passes until it is live again.
    Math.random = () => 0;
    const begunMs = Date.now();
    server.faults = [lost];
    server.endPolls();
    await until(() => server.parked === 1 && states.length === 5);
    await settled(sent);
    assert.equal(Date.now() > begunMs, isAsked);
  }
});

test('a send is repeated for as long as the server knows its nonce', LIMIT, async () => {
  const bodies = new Set();
  const begunMs = Date.now();
  const refuse = (_, { body }) => (bodies.add(String(body)), lost());
  await assert.rejects(settled(new Client('', { fetch: refuse }).send(7, 'hi')), { code: 'no_answer' });
  const hours = (Date.now() - begunMs) / 3_600_000;
  assert.ok(hours > 22 && hours < 24, `${hours} hours`);
  assert.equal(bodies.size, 1);
});

test('two tabs of a session that may have one poll do not chase each other', LIMIT, async (t) => {
  const { server, told } = following(t, 7);
  const begunMs = Date.now();
  for (let n = 0; n < 10; n += 1) {
    await parked(server);
    server.endPolls();
    await until(() => server.parked === 0);
  }
  await parked(server);
  assert.ok(Date.now() - begunMs > 500);
  server.say(7, 'a');
  await heard(told, 1);
});

/** A few hundred things that happen, of which one in four goes wrong, and a page that is loaded anew now and then. */
async function happenings(t, seed, chatrooms) {
  const below = numbers(seed);
  const { server, client, told, follow } = following(t, chatrooms, { limit: 3, timeout: 1 }, { rooms: { 7: 0, 8: 0, 9: 0 } });
  const count = { 7: 0, 8: 0, 9: 0 };
  let last = follow;
  // Its first overview says from when on it is told.
  await parked(server);
  for (let n = 0; n < 200; n += 1) {
    const id = 7 + below(3);
    const faults = [lost, answerLost, answerLost, overloaded(), captive];
    const happens = [
      () => server.say(id, String((count[id] += 1))),
      () => server.say(id, String((count[id] += 1))),
      () => server.endPolls(),
      () => server.faults.push(faults[below(faults.length)]),
      () => server.faults.push(first(() => server.say(id, String((count[id] += 1))))),
      () => chatrooms === 'all' && (server.leave(id), server.faults.push(first(() => server.join(id)))),
      () => new Promise((resolve) => setImmediate(resolve)),
      async () => {
        if (below(4) > 0) return;
        last.stop();
        await settled(last.done);
        last = client.follow(chatrooms, told.take, { limit: 3, timeout: 1, since: last.since });
        t.after(() => last.stop());
      },
    ];
    await happens[below(happens.length)]();
  }
  for (const id of [7, 8, 9]) server.join(id);
  server.faults = [];
  const total = () => Object.values(count).reduce((sum, n) => sum + n);
  await until(() => told.count === total());
  const wanted = (id) => Array.from({ length: count[id] }, (_, at) => String(at + 1));
  for (const id of [7, 8, 9]) assert.deepEqual(told.texts[id] ?? [], wanted(id), `seed ${seed}`);
  last.stop();
  await settled(last.done);
}

for (const chatrooms of [[7, 8, 9], 'all']) {
  test(`each message of ${chatrooms} once and in order, whatever happens`, LIMIT, async (t) => {
    for (let seed = 0; seed < 100; seed += 1) await happenings(t, seed, chatrooms);
  });
}
