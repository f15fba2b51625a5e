// Time that passes only where nothing else is left to happen: importing this replaces the clock and the timers of its process.

const immediately = () => new Promise((resolve) => setImmediate(resolve));

/** How often in a row nothing may seem to be left: an answer's body takes a few turns of the loop. */
const IDLE_TURNS = 10;
/** In so many everything has happened that ever will: a day of a client's attempts takes a tenth of them. */
const TURNS_MAX = 1_000_000;

let nowMs = Date.now();
let nextId = 1;
const timers = new Map();

/** The milliseconds of each timer that was set. */
export const waits = [];

Date.now = () => nowMs;
globalThis.setTimeout = (callback, ms) => {
  waits.push(ms);
  timers.set(nextId, { callback, dueMs: nowMs + ms });
  nextId += 1;
  return nextId - 1;
};
globalThis.clearTimeout = (id) => timers.delete(id);

/** How many timers are set. */
export const pending = () => timers.size;

/** Lets happen what is to happen, until something holds. */
export async function until(holds) {
  for (let turn = 1; !holds(); turn += 1) {
    if (turn > TURNS_MAX) throw new Error(`it does not come to hold: ${holds}`);
    await immediately();
    if (turn % IDLE_TURNS === 0 && timers.size > 0) passTime();
  }
}

function passTime() {
  const [id, { callback, dueMs }] = [...timers].reduce((one, other) => (other[1].dueMs < one[1].dueMs ? other : one));
  timers.delete(id);
  nowMs = Math.max(nowMs, dueMs);
  callback();
}
