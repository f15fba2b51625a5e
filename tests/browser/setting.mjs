// Two people in one chatroom, to begin a test with, and what a browser may complain of at its end.
import assert from 'node:assert/strict';

import { Server } from '../js/server.mjs';
import { Chromium } from './chromium.mjs';
import { Person } from './person.mjs';

/** A test that hangs has failed. */
export const LIMIT = { timeout: 180_000 };
/** What a browser says of a request that a server which is down does not answer. */
export const UNANSWERED = /ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|CONTENT_LENGTH_MISMATCH|SOCKET_NOT_CONNECTED)/;
/** Nobody is logged in yet, or no more. */
export const NOBODY = /401 \(Unauthorized\) .*\/(whoami|login)\//;
/** A message that the server does not take. */
export const REFUSED = /400 \(Bad Request\) .*\/sendMessage\//;

export async function twoPeople(t, ...options) {
  const server = await Server.startAlone(t, ...options);
  const chromium = await Chromium.start(t);
  const ann = await Person.at(chromium, server.url, 'Ann');
  const bob = await Person.at(chromium, server.url, 'Bob');
  await ann.register();
  await bob.register();
  return { server, chromium, ann, bob };
}

/** Both in a chatroom that has it open. */
export async function inOneChatroom({ ann, bob }) {
  await ann.openNew('tea');
  await ann.add('bo', 'Bob');
  await ann.say('hello');
  await bob.page.shows('.badge', '1');
  await bob.open('tea');
  await bob.sees(['hello']);
}

/** Of what was asked for, only what is expected may have failed; and a page must never complain. */
export function behaved(expected, ...people) {
  for (const { page } of people) {
    assert.deepEqual(page.complaints, []);
    const others = page.failures.filter((failure) => !expected.some((one) => one.test(failure)));
    assert.deepEqual(others, []);
  }
}
