// A following of a made-up server, in made-up time, for the tests that look at it.
import { until } from './time.mjs';
import { FakeLoiter } from './fake.mjs';
import { Client } from './module.mjs';
import { Told } from './told.mjs';

/** A following, with the made-up server that it follows. */
export function following(t, chatrooms, options, { rooms = { 7: 0, 9: 0 }, onMessages } = {}) {
  const server = new FakeLoiter();
  for (const [id, count] of Object.entries(rooms)) {
    server.join(Number(id));
    for (let n = 1; n <= count; n += 1) server.say(Number(id), `old ${n}`);
  }
  const client = new Client('', { fetch: server.fetch });
  const states = [];
  const told = new Told(options?.since ?? rooms);
  const onState = (state) => states.push(state);
  const start = () => client.follow(chatrooms, onMessages ?? told.take, { onState, ...options });
  const follow = start();
  t.after(() => follow.stop());
  return { server, client, told, states, follow };
}

export const parked = (server) => until(() => server.parked === 1);
/** Waits for a promise while time passes. */
export async function settled(promise) {
  let isPending = true;
  const end = () => (isPending = false);
  promise.then(end, end);
  await until(() => !isPending);
  return promise;
}
export const heard = (told, count) => until(() => told.count >= count);

/** What happens at the server before it answers. */
export const first = (happens) => (answer) => {
  happens();
  return answer();
};

/** The same numbers each time (mulberry32). */
export function numbers(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}
