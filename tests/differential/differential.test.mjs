// Nowhere is loiter more lenient than both nginx and Node's HTTP server are.
//
// Each request registers a user, and so does the one that is hidden in it or stands behind it. Who is registered afterwards is what a server
// made of the bytes, whatever it answered.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { REQUESTS } from './requests.mjs';
import { exchange, Loiter, Nginx, Node } from './servers.mjs';

test('the same requests to three servers', { timeout: 600_000 }, async (t) => {
  const loiter = await Loiter.start(t);
  const others = [await Nginx.start(t), await Node.start(t)];
  const counts = { requests: 0, 'taken by loiter alone': 0, 'refused by loiter alone': 0 };
  const notes = [];
  const faults = [];
  for (const [at, { from, name, taken, bytes, why }] of REQUESTS.entries()) {
    const names = { first: `first${at}x`, hidden: `hidden${at}x` };
    const sent = bytes(names);
    const made = async (server) => {
      const answer = await exchange(server.address, sent);
      const which = [];
      for (const [what, who] of Object.entries(names)) {
        if (await server.knows(who)) which.push(what);
      }
      return { which, status: /^HTTP\/1.1 (\d+)/.exec(answer)?.[1] ?? 'none' };
    };
    const ours = await made(loiter);
    const theirs = [];
    for (const other of others) theirs.push(await made(other));
    counts.requests += 1;
    const alone = ours.which.filter((what) => !theirs.some(({ which }) => which.includes(what)));
    const told = [ours, ...theirs].map(({ which, status }) => `${which.join('+') || '-'} (${status})`).join(', ');
    const title = `${from}: ${name}`;
    if (alone.length > 0) counts['taken by loiter alone'] += 1;
    if (alone.length > 0 && why) notes.push(`more lenient than both, since ${why}: ${title}: ${told}`);
    if (alone.length > 0 && !why) faults.push(`${title}: only loiter has taken ${alone.join(' and ')}: ${told}`);
    if (ours.which.join(' ') !== taken) {
      faults.push(`${title}: loiter has taken ${ours.which.join(' ') || 'nothing'}, not ${taken || 'nothing'}: ${told}`);
    }
    const refused = ['first', 'hidden'].filter((what) => !ours.which.includes(what) && theirs.every(({ which }) => which.includes(what)));
    if (refused.length > 0) {
      counts['refused by loiter alone'] += 1;
      notes.push(`stricter than both: ${title}: ${told}`);
    }
    if (process.env.LOITER_VERBOSE) notes.push(`${title}: ${told}`);
  }
  for (const note of notes) t.diagnostic(note);
  for (const [what, count] of Object.entries(counts)) t.diagnostic(`${what}: ${count}`);
  assert.deepEqual(faults, [], faults.join('\n'));
});
