// What a following does where the pairs of all chatrooms do not fit into one request.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from './time.mjs';
import { first, following, heard, numbers, parked, settled } from './following.mjs';
import { answerLost, lost, overloaded } from './fake.mjs';

const LIMIT = { timeout: 60_000 };
/** What a poll may say of its chatrooms. */
const QUERY_MAX = 6000;
/** How many chatrooms: of `all` pairs for one in five have room, of a list, which must stand there too, for one in six. */
const COUNTS = { all: 3000, list: 600 };

/** So many chatrooms with ids of six digits, in each of which something was said. */
function crowd(t, kind, options, said = 1, onMessages) {
  const ids = Array.from({ length: COUNTS[kind] }, (_, at) => 100_001 + at);
  const rooms = Object.fromEntries(ids.map((id) => [id, said]));
  return { ids, ...following(t, kind === 'all' ? 'all' : ids, options, { rooms, onMessages }) };
}

const pairsOf = ({ since }) => new Map(since.split(',').map((pair) => pair.split(':').map(Number)));
/** Polls again, and lets something happen just before the poll comes. */
async function between(server, happens) {
  server.faults.push(first(happens));
  server.endPolls();
  await until(() => server.faults.length === 0);
}

for (const kind of ['all', 'list']) {
  test(`of more chatrooms than a poll has room for (${kind}) those spoken in last have pairs`, LIMIT, async (t) => {
    const { ids, server, told } = crowd(t, kind, {});
    await parked(server);
    const pairs = pairsOf(server.polls[0]);
    assert.ok(server.longest > QUERY_MAX - 10 && server.longest <= QUERY_MAX, `${server.longest} bytes`);
    assert.deepEqual([...pairs.keys()], ids.slice(-pairs.size));
    // Of another the message that follows is told as it comes, and its pair comes before those of chatrooms that have long been silent.
    server.say(ids[0], 'a');
    await heard(told, 1);
    await parked(server);
    const next = pairsOf(server.polls[1]);
    assert.deepEqual([next.get(ids[0]), next.has(ids.at(-pairs.size))], [2, false]);
    assert.equal(server.overviews, 1);
  });

  test(`what is said between two polls where there is no pair (${kind}) is told with what shows it`, LIMIT, async (t) => {
    const { ids: [id], server, told } = crowd(t, kind, {});
    await parked(server);
    await between(server, () => server.say(id, 'a'));
    await parked(server);
    const begunMs = Date.now();
    server.say(id, 'b');
    server.say(id, 'c');
    await heard(told, 3);
    assert.deepEqual(told.texts, { [id]: ['a', 'b', 'c'] });
    assert.deepEqual([Date.now(), server.overviews], [begunMs, 1]);
  });

  test(`… and without anything that shows it (${kind}) by asking how far each is`, LIMIT, async (t) => {
    const { ids: [id], server, told } = crowd(t, kind, { timeout: 5 });
    for (const count of [1, 2]) {
      await parked(server);
      await between(server, () => server.say(id + count, 'a'));
      const begunMs = Date.now();
      await heard(told, count);
      // Two polls' time at most.
      assert.ok(Date.now() - begunMs <= 10_000, `${Date.now() - begunMs} ms`);
    }
  });

  test(`whoever is behind everywhere (${kind}) catches up at once`, LIMIT, async (t) => {
    const ids = Array.from({ length: COUNTS[kind] }, (_, at) => 100_001 + at);
    const since = Object.fromEntries(ids.map((id) => [id, 1]));
    const { server, told, follow } = crowd(t, kind, { since, limit: 200 }, 3);
    const begunMs = Date.now();
    await heard(told, 2 * ids.length);
    assert.deepEqual([Date.now(), server.overviews], [begunMs, 1]);
    await until(() => ids.every((id) => follow.since[id] === 3));
  });

  test(`a gap where there is no pair (${kind}) is told`, LIMIT, async (t) => {
    const gaps = [];
    const { ids, server, follow } = crowd(t, kind, { timeout: 5, onGap: (gap) => gaps.push(gap) }, 3, () => {});
    await parked(server);
    // Found when it is asked how far each is; and by a message that cannot be the next.
    server.restore(ids[0], 2);
    await until(() => gaps.length === 1);
    await parked(server);
    server.restore(ids[1], 1);
    server.say(ids[1], 'again');
    await until(() => gaps.length === 2);
    await parked(server);
    await between(server, () => ['a', 'b', 'c'].forEach((text) => server.say(ids[2], text)));
    server.expire(ids[2], 6);
    await until(() => gaps.length === 3);
    await until(() => follow.since[ids[2]] === 6);
    const [ahead, again, expired] = gaps;
    assert.deepEqual(ahead, { chatroomid: ids[0], last: 2 });
    assert.deepEqual(again, { chatroomid: ids[1], last: 2 });
    assert.deepEqual(expired, { chatroomid: ids[2], first: 6 });
  });
}

test('whoever leaves one that has no pair and comes back misses nothing and hears nothing twice', LIMIT, async (t) => {
  const { ids: [id], server, told } = crowd(t, 'all', { timeout: 5 });
  await parked(server);
  server.say(id, 'a');
  await heard(told, 1);
  server.leave(id);
  const [before] = [server.overviews];
  await until(() => server.overviews > before && server.parked === 1);
  assert.ok(!pairsOf(server.polls.at(-1)).has(id));
  server.say(id, 'b');
  server.join(id);
  server.say(id, 'c');
  await heard(told, 3);
  assert.deepEqual(told.texts[id], ['a', 'b', 'c']);
});

test('a list that leaves no room for a pair is refused, and does not ask', LIMIT, async (t) => {
  const errors = [];
  const ids = Array.from({ length: 900 }, (_, at) => 100_001 + at);
  const { server, follow } = following(t, ids, { onError: (error) => errors.push(error) });
  await assert.rejects(settled(follow.done), { code: 'uri_too_long', status: 414 });
  assert.deepEqual([server.overviews, server.polls.length, errors.length], [0, 0, 1]);
});

/** A few hundred things that happen in many chatrooms, most of them in a few, and often between two polls. */
async function happenings(t, seed, kind) {
  const below = numbers(seed);
  const { ids, server, told, follow } = crowd(t, kind, { limit: 5, timeout: 2 }, 0);
  const count = {};
  const left = new Set();
  const say = () => {
    const id = ids[below(3) === 0 ? below(ids.length) : below(20)];
    count[id] = (count[id] ?? 0) + 1;
    server.say(id, String(count[id]));
  };
  await parked(server);
  for (let n = 0; n < 300; n += 1) {
    const faults = [lost, answerLost, overloaded(), first(say), first(say), first(say), first(say)];
    const away = ids[below(ids.length)];
    const happens = [
      say,
      () => server.faults.push(faults[below(faults.length)]),
      () => server.endPolls(),
      () => kind === 'all' && (left.add(away), server.leave(away), server.faults.push(first(() => server.join(away)))),
      () => new Promise((resolve) => setImmediate(resolve)),
      () => (n % 10 === 0 ? parked(server) : undefined),
    ];
    await happens[below(happens.length)]();
  }
  left.forEach((id) => server.join(id));
  server.faults = [];
  await until(() => told.count === Object.values(count).reduce((sum, n) => sum + n, 0));
  for (const id of Object.keys(count)) {
    assert.deepEqual(told.texts[id], Array.from({ length: count[id] }, (_, at) => String(at + 1)), `seed ${seed}`);
  }
  assert.ok(server.longest > QUERY_MAX - 20 && server.longest <= QUERY_MAX, `${server.longest} bytes`);
  follow.stop();
  await settled(follow.done);
}

for (const kind of ['all', 'list']) {
  test(`each message of many chatrooms (${kind}) once and in order, whatever happens`, LIMIT, async (t) => {
    for (let seed = 0; seed < 10; seed += 1) await happenings(t, seed, kind);
  });
}
