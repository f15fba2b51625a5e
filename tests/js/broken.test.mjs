// The client against the built server, behind a network that breaks and with a server that is killed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

import { Client } from './module.mjs';
import { Proxy } from './proxy.mjs';
import { Server, user } from './server.mjs';
import { Told } from './told.mjs';

const LIMIT = { timeout: 120_000 };

/** All that a chatroom keeps. */
async function all(client, chatroomid) {
  const messages = [];
  for (let before; before !== 1; before = messages[0].id) {
    messages.unshift(...(await client.history(chatroomid, { before, limit: 200 })));
  }
  return messages;
}

const below = (n) => Math.floor(Math.random() * n);
const texts = (name, count) => Array.from({ length: count }, (_, at) => `${name} ${at + 1}`);

/** Says many things, one after the other, for as long as the test lasts: one that has failed must not repeat a send for ever. */
async function say(t, client, chatroomid, said) {
  const controller = new AbortController();
  t.after(() => controller.abort());
  const ids = [];
  for (const text of said) ids.push((await client.send(chatroomid, text, { limit: 1, signal: controller.signal })).id);
  return ids;
}

test('what is sent is said once, however often its answer is lost', LIMIT, async (t) => {
  const server = await Server.start(t);
  const proxy = await Proxy.start(t, server);
  const ann = await user(proxy.url, 'ann');
  const { chatroomid } = await ann.newChatroom();
  proxy.answerBytes = () => below(1500);
  proxy.cut();
  const names = ['a', 'b', 'c'];
  const ids = await Promise.all(names.map((name) => say(t, ann, chatroomid, texts(name, 60))));
  assert.ok(proxy.cuts > 10, `${proxy.cuts} cuts`);
  const messages = await all(new Client(server.url, { session: ann.session }), chatroomid);
  assert.equal(messages.length, 180);
  for (const [at, name] of names.entries()) {
    const own = messages.filter(({ message }) => message.startsWith(name));
    assert.deepEqual(own.map(({ message }) => message), texts(name, 60));
    assert.deepEqual(own.map(({ id }) => id), ids[at]);
  }
});

test('a send goes on when the server is back', LIMIT, async (t) => {
  const server = await Server.start(t);
  const proxy = await Proxy.start(t, server);
  const ann = await user(proxy.url, 'ann');
  const { chatroomid } = await ann.newChatroom();
  await server.kill();
  const controller = new AbortController();
  const given = ann.send(chatroomid, 'given up', { signal: controller.signal });
  const kept = ann.send(chatroomid, 'kept');
  controller.abort();
  await assert.rejects(given, { name: 'AbortError' });
  await server.restart();
  assert.equal((await kept).id, 1);
});

/** Ann speaks in some chatrooms and Bob follows them, while the network breaks and the server is killed again and again. */
async function follows(t, count, chatrooms, ...options) {
  const server = await Server.start(t, ...options);
  const proxy = await Proxy.start(t, server);
  const [ann, bob] = [await user(proxy.url, 'ann'), await user(proxy.url, 'bob')];
  const ids = [];
  for (let n = 0; n < count; n += 1) {
    const { chatroomid } = await ann.newChatroom();
    await ann.addToChatroom(chatroomid, 'bob');
    ids.push(chatroomid);
  }
  const told = new Told();
  const states = [];
  const asked = { limit: 4, timeout: 2, since: {}, onState: (state) => states.push(state) };
  const which = chatrooms(ids);
  let following = bob.follow(which, told.take, { ...asked, since: Object.fromEntries(ids.map((id) => [id, 0])) });
  t.after(() => following.stop());

  proxy.answerBytes = () => 100 + below(2000);
  proxy.cut();
  const speaking = Promise.all(ids.map((id) => say(t, ann, id, texts(id, 300 / count))));
  for (let n = 1; n <= 6; n += 1) {
    await told.until(n * 40);
    await server.kill();
    await server.restart();
    // A page is loaded anew.
    if (n % 2 === 0) continue;
    following.stop();
    await following.done;
    following = bob.follow(which, told.take, { ...asked, since: JSON.parse(JSON.stringify(following.since)) });
  }
  await speaking;
  await told.until(300);
  assert.ok(proxy.cuts > 10, `${proxy.cuts} cuts`);
  assert.ok(states.includes('waiting'));
  following.stop();
  await following.done;
  for (const id of ids) assert.deepEqual(told.texts[id], texts(id, 300 / count));
  assert.deepEqual(following.since, Object.fromEntries(ids.map((id) => [id, 300 / count])));
}

test('one chatroom is followed without loss', LIMIT, (t) => follows(t, 1, ([id]) => id));
test('several chatrooms are followed without loss', LIMIT, (t) => follows(t, 3, (ids) => ids));
test('all chatrooms are followed without loss', LIMIT, (t) => follows(t, 3, () => 'all'));
test('… at a server of three event loops too', LIMIT, (t) => follows(t, 3, () => 'all', '--loops', '3'));

test('chatrooms that are joined meanwhile are followed from their first message', LIMIT, async (t) => {
  const { url } = await Server.start(t);
  const [ann, bob] = [await user(url, 'ann'), await user(url, 'bob')];
  const told = new Told();
  const following = bob.follow('all', told.take, { timeout: 1, since: {} });
  t.after(() => following.stop());
  for (let n = 1; n <= 20; n += 1) {
    const { chatroomid } = await ann.newChatroom();
    await ann.addToChatroom(chatroomid, 'bob');
    await say(t, ann, chatroomid, texts(chatroomid, 3));
    if (n % 5 === 0) await told.until(n * 3);
  }
  for (const id of await bob.chatrooms()) assert.deepEqual(told.texts[id], texts(id, 3));
});

test('nothing is left behind that keeps Node alive', LIMIT, async (t) => {
  const server = await Server.start(t);
  const ann = await user(server.url, 'ann');
  const { chatroomid } = await ann.newChatroom();
  const module = JSON.stringify(new URL('module.mjs', import.meta.url));
  const script = `
    import { Client } from ${module};
    const client = new Client('${server.url}', { session: '${ann.session}' });
    const following = client.follow(${chatroomid}, () => following.stop());
    following.done.then(() => console.log('done'));
    process.once('beforeExit', () => console.log('exits'));
    console.log('begun');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const output = [];
  child.stdout.on('data', (bytes) => output.push(bytes));
  const ended = once(child, 'exit', { signal: AbortSignal.timeout(20_000) });
  // Whatever it is told ends it. It is told what comes after it has begun.
  while (child.exitCode === null && output.join('').split('\n').length < 3) {
    await ann.send(chatroomid, 'hi', { limit: 1 });
  }
  assert.deepEqual(await ended, [0, null]);
  assert.equal(output.join(''), 'begun\ndone\nexits\n');
});
