// Each call of the client against the built server.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Client, LoiterError } from './module.mjs';
import { Server, user } from './server.mjs';

const LIMIT = { timeout: 60_000 };

/** What a call fails with. */
async function failure(call) {
  const error = await call.then(() => assert.fail('it did not fail'), (reason) => reason);
  assert.ok(error instanceof LoiterError, String(error));
  return error;
}

test('what is served is what is tested', LIMIT, async (t) => {
  const { url } = await Server.start(t);
  for (const name of ['loiter.js', 'loiter.d.ts']) {
    const answer = await fetch(`${url}/${name}`);
    assert.equal(await answer.text(), readFileSync(new URL(`../../src/web/${name}`, import.meta.url), 'utf8'));
  }
});

test('accounts and sessions', LIMIT, async (t) => {
  const { url } = await Server.start(t);
  const client = new Client(`${url}/`);
  const ann = await client.register('ann', 'pw &+=%ü');
  assert.deepEqual(ann, { userid: 1, username: 'ann' });
  assert.equal((await failure(client.whoami())).code, 'no_session');
  assert.deepEqual(await client.login('Ann', 'pw &+=%ü'), ann);
  assert.deepEqual(await client.whoami(), ann);

  const other = new Client(url, { session: client.session });
  assert.deepEqual(await other.whoami(), ann);
  const second = new Client(url);
  await second.login('ann', 'pw &+=%ü');
  assert.deepEqual(await client.changePassword('pw &+=%ü', 'new'), { status: 'ok' });
  assert.equal((await failure(second.whoami())).status, 401);

  assert.deepEqual(await client.logout(), { status: 'ok' });
  assert.equal(client.session, undefined);
  assert.equal((await failure(other.whoami())).code, 'no_session');
  await client.login('ann', 'new');
  assert.deepEqual(await client.whoami(), ann);
});

test('a server whose cookie is for this host alone', LIMIT, async (t) => {
  const { url } = await Server.start(t, '--secure-cookies');
  const client = new Client(url);
  const ann = await client.register('ann', 'pw');
  await client.login('ann', 'pw');
  assert.deepEqual(await client.whoami(), ann);
  // Who has kept a session knows its token, and not what the cookie is called.
  const other = new Client(url, { session: client.session });
  assert.deepEqual(await other.whoami(), ann);
  await client.logout();
  assert.equal(client.session, undefined);
  assert.equal((await failure(other.whoami())).code, 'no_session');
});

test('chatrooms', LIMIT, async (t) => {
  const { url } = await Server.start(t);
  const [ann, bob] = [await user(url, 'ann'), await user(url, 'bob')];
  assert.deepEqual(await ann.chatrooms(), []);
  const { chatroomid } = await ann.newChatroom({ name: 'tea & cake' });
  assert.deepEqual(await ann.newChatroom(), { chatroomid: chatroomid + 1 });
  assert.equal((await ann.renameChatroom(chatroomid, 'tea')).name, 'tea');

  const users = await ann.getUser('bo');
  assert.deepEqual(users.map(({ username }) => username), ['bob']);
  assert.deepEqual(await ann.getUser('x'), []);
  const { participants } = await ann.addToChatroom(chatroomid, users[0].userid);
  assert.deepEqual(await bob.chatroomParticipants(chatroomid), participants);
  assert.deepEqual(await bob.overview(), [{ chatroomid, name: 'tea', admin: 1, participants: 2, last: 0 }]);
  assert.deepEqual(await bob.leaveChatroom(chatroomid), { status: 'ok' });
  await ann.addToChatroom(chatroomid, 'bob');
  assert.equal((await ann.removeFromChatroom(chatroomid, 'bob')).participants.length, 1);
  assert.equal((await failure(bob.history(chatroomid))).code, 'not_a_participant');
});

test('messages and polls', LIMIT, async (t) => {
  const { url } = await Server.start(t);
  const ann = await user(url, 'ann');
  const { chatroomid } = await ann.newChatroom();
  for (const text of ['one', 'two\n😀 &=+', 'three']) {
    const { id, messages } = await ann.send(chatroomid, text);
    assert.equal(messages.at(-1).message, text);
    assert.equal(messages.at(-1).id, id);
  }
  const [once, again] = [await ann.send(chatroomid, 'four', { nonce: 'x' }), await ann.send(chatroomid, 'four', { nonce: 'x' })];
  assert.deepEqual(again, once);
  const texts = (messages) => messages.map(({ message }) => message);
  assert.deepEqual(texts(await ann.history(chatroomid, { before: 4, limit: 2 })), ['two\n😀 &=+', 'three']);
  assert.deepEqual(texts(await ann.longpoll(chatroomid, { since: 0, limit: 1 })), ['one']);
  assert.deepEqual(await ann.longpoll(chatroomid, { since: 4, timeout: 1 }), []);

  // A poll without a timeout has no deadline either.
  const poll = ann.longpoll(chatroomid);
  let present = [];
  while (present.length === 0) present = await ann.presence(chatroomid);
  assert.deepEqual(present, [{ userid: 1, username: 'ann' }]);
  let ended = 0;
  while (ended === 0) ({ ended } = await ann.endpoll(chatroomid, { limit: 1 }));
  assert.equal((await poll).length, 4);
});

test('failures tell their numbers', LIMIT, async (t) => {
  const { url } = await Server.start(t, '--login-attempts', '1');
  const ann = await user(url, 'ann');
  const { chatroomid } = await ann.newChatroom();
  const ahead = await failure(ann.longpoll(chatroomid, { since: 5 }));
  assert.deepEqual([ahead.status, ahead.code, ahead.last, ahead.isTransient], [409, 'since_ahead', 0, false]);
  assert.match(ahead.message, / .*\.$/);
  assert.equal((await failure(ann.login('ann', 'wrong'))).code, 'bad_credentials');
  const limited = await failure(ann.login('ann', 'pw'));
  assert.deepEqual([limited.code, limited.isTransient], ['too_many_attempts', true]);
  assert.ok(limited.retryAfter > 0);
  const foreign = await failure(ann.send(99, 'hi'));
  assert.deepEqual([foreign.status, foreign.code], [500, 'not_a_participant']);
});

test('an aborted call rejects with the reason', LIMIT, async (t) => {
  const { url } = await Server.start(t);
  const ann = await user(url, 'ann');
  const { chatroomid } = await ann.newChatroom();
  const controller = new AbortController();
  const poll = ann.longpoll(chatroomid, { signal: controller.signal });
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(poll, reason);
  await assert.rejects(ann.whoami({ signal: controller.signal }), reason);
});

test('no URL has a password in it', LIMIT, async (t) => {
  const { url } = await Server.start(t);
  const urls = [];
  const client = new Client(url, { fetch: (where, init) => (urls.push(where), fetch(where, init)) });
  await client.register('ann', 'secret');
  await client.login('ann', 'secret');
  await client.changePassword('secret', 'secret2');
  assert.deepEqual(urls, ['/register/', '/login/', '/changePassword/'].map((path) => url + path));
});
