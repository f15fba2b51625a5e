// What two people go through on the chat page while the server dies and comes back, or does not take what they say.
import assert from 'node:assert/strict';
import test from 'node:test';

import { until } from './chromium.mjs';
import { LIMIT, NOBODY, REFUSED, UNANSWERED, behaved, inOneChatroom, twoPeople } from './setting.mjs';

test('nothing is lost or doubled while the server is killed', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { ann, bob, server } = made;
  await inOneChatroom(made);
  const said = ['hello'];
  for (const round of ['one', 'two']) {
    await ann.say(`${round}: as it is killed`);
    await server.kill();
    await ann.page.shows('#trouble', 'Connecting again');
    await bob.page.shows('#trouble', 'Connecting again');
    await ann.say(`${round}: while it is away`);
    await ann.page.shows('#pending', `${round}: while it is away`);
    await server.restart();
    said.push(`${round}: as it is killed`, `${round}: while it is away`);
    await ann.sees(said);
    await bob.sees(said);
    await ann.isConnected();
    await ann.page.lacks('#pending .text');
  }
  // What waits to be sent outlives a reload.
  await server.kill();
  await ann.say('before the reload');
  await ann.say('and one more');
  await server.restart();
  await ann.page.reload();
  said.push('before the reload', 'and one more');
  await ann.sees(said);
  await bob.sees(said);
  behaved([NOBODY, UNANSWERED], ann, bob);
});

/** From now on a pause of many seconds does not end by itself, and nothing happens every few seconds. */
function stopsTime() {
  const { setTimeout } = globalThis;
  for (let timer = setInterval(() => {}); timer > 0; timer -= 1) clearInterval(timer);
  Math.random = () => 0.9;
  globalThis.setTimeout = (callback, ms) => setTimeout(callback, ms > 5000 && ms < 20_000 ? 1e9 : ms);
}

test('while the server is away nothing is claimed of it, and it is tried at once by whoever wants to', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { ann: { page }, ann, bob, server } = made;
  await inOneChatroom(made);
  await page.shows('#subtitle', '2 people, 2 here now');
  await page.run(stopsTime);
  const said = ['hello'];
  const marks = (kind) => page.run((sought) => document.querySelectorAll(`.presence.${sought}`).length, kind);
  const ways = {
    key: async () => {
      await page.run(() => document.querySelector('#retry').focus());
      await page.press('Enter');
    },
    click: () => page.click('#retry', 'Try now'),
    online: () => page.run(() => dispatchEvent(new Event('online')) && undefined),
    look: () => page.run(() => document.dispatchEvent(new Event('visibilitychange')) && undefined),
  };
  for (const [way, go] of Object.entries(ways)) {
    await page.shows('#subtitle', '2 people, 2 here now');
    await until('two marks say so', async () => (await marks('here')) === 2);
    await page.run(() => document.querySelector('[aria-label="Remove Bob"]').focus());
    await server.kill();
    await page.shows('#trouble', 'Connecting again');
    await until('no mark says so', async () => (await marks('unknown')) === 2);
    assert.equal(await page.run(() => document.activeElement.ariaLabel), 'Remove Bob');
    assert.equal(await page.text('#subtitle'), '2 people');
    await ann.say(way);
    said.push(way);
    await page.shows('#pending', way);
    // Where a pause is long, it is told how long.
    await until('a long pause', async () => {
      if (/in 1\d s/.test(await page.text('#trouble'))) return true;
      await page.click('#retry');
      return false;
    });
    assert.ok((await page.accessible()).some(({ role, name }) => role === 'button' && name === 'Try now'));
    await server.restart();
    await go();
    await ann.isConnected();
    await page.lacks('#retry');
    if (way === 'key') assert.equal(await page.focus(), 'text');
    await page.shows('#announcer', 'Connected again.');
    for (const person of [ann, bob]) await person.sees(said);
  }
  behaved([NOBODY, UNANSWERED], ann, bob);
});

test('what is too long is refused before it is sent', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { ann: { page }, ann, bob } = made;
  await inOneChatroom(made);
  await page.click('#text');
  await page.type('x'.repeat(3583));
  assert.equal(await page.text('#count'), '');
  await page.type('x');
  await page.shows('#count', '512 bytes left');
  await page.shows('#announcer', '512 bytes left');
  // Two bytes each, as the server counts; and what is cut off at the end does not count.
  await page.type('ä'.repeat(256));
  await page.type(' ');
  await page.shows('#count', '0 bytes left');
  await page.type('!');
  await page.shows('#count', '2 bytes too long');
  assert.equal(await page.run(() => document.querySelector('#text').ariaInvalid), 'true');
  await page.press('Enter');
  await page.shows('#count', 'Not sent: 2 bytes too long');
  await page.press('Backspace');
  await page.shows('#count', '0 bytes left');
  await page.press('Enter');
  const said = ['hello', 'x'.repeat(3584) + 'ä'.repeat(256)];
  for (const person of [ann, bob]) await person.sees(said);
  assert.equal(await page.text('#count'), '');
  // What nobody can see, and the server does not take, is not sent.
  await page.run(() => Object.assign(document.querySelector('#text'), { value: 'bell\u0007\tand\u001b escape\u0085' }) && undefined);
  await page.press('Enter');
  said.push('bell\tand escape');
  for (const person of [ann, bob]) await person.sees(said);
  behaved([NOBODY, REFUSED], ann, bob);
});

test('what was refused is written again, or discarded', LIMIT, async (t) => {
  const made = await twoPeople(t, '--max-message', '40');
  const { ann: { page }, ann, bob, server } = made;
  await inOneChatroom(made);
  const said = ['hello'];
  const long = 'a sentence that goes on and on, and then on';
  await ann.say(long);
  await page.shows('#pending .failed', 'Not sent. The message must have 1 to 40 bytes.');
  assert.equal(await page.text('#pending .link'), 'Edit');
  // Elsewhere it is not forgotten; and while others speak the button keeps the focus.
  await page.shows('#list .badge.failed', '!');
  await page.run(() => document.querySelector('#pending .link').focus());
  await bob.say('yes?');
  said.push('yes?');
  await ann.sees(said);
  assert.equal(await page.run(() => document.activeElement.innerText), 'Edit');
  await page.click('#text');
  await page.type('well');
  await page.click('#pending .link', 'Edit');
  await page.lacks('#pending .text');
  await page.lacks('#list .badge');
  const draft = () => page.run(() => document.querySelector('#text').value).catch(() => undefined);
  assert.deepEqual([await draft(), await page.focus()], [`${long}\n\nwell`, 'text']);
  // It goes on where the one was and the other is not yet. What is written outlives a reload.
  await page.type('!');
  await page.shows('#count', '10 bytes too long');
  await page.reload();
  await until('it is there again', async () => (await draft()) === `${long}!\n\nwell`);
  await page.click('#text');
  await page.run(() => document.querySelector('#text').select());
  await page.type('in short');
  await page.press('Enter');
  said.push('in short');
  for (const person of [ann, bob]) await person.sees(said);

  // A server may take less after a while, or more.
  for (const max of ['20', '8000']) {
    await server.kill();
    server.options = ['--max-message', max];
    await server.restart();
    await bob.say(max);
    said.push(max);
    await ann.sees(said);
    if (max === '20') {
      await ann.say('twenty-six letters or more');
      await page.shows('#pending .failed', '1 to 20 bytes');
      await page.click('#pending .link', 'Discard');
      await page.lacks('#pending .text');
      assert.equal(await page.focus(), 'log');
    }
  }
  await page.click('#text');
  await page.type('y'.repeat(6900));
  await until('there is room', async () => (await page.text('#count')) === '');
  await page.press('Enter');
  said.push('y'.repeat(6900));
  for (const person of [ann, bob]) await person.sees(said);
  behaved([NOBODY, UNANSWERED, REFUSED], ann, bob);
});

test('what nobody answers for a day is tried again by whoever still wants it', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { ann: { page }, ann, bob, server } = made;
  await inOneChatroom(made);
  await server.kill();
  await ann.say('one day');
  await page.shows('#pending .fate', 'Sending');
  await page.run(() => {
    const { now } = Date;
    Date.now = () => now() + 86_400_000;
  });
  await until('it is given up', async () => {
    await page.click('#retry').catch(() => {});
    return (await page.text('#pending .failed')) === 'Not sent. The server does not answer just now.';
  });
  await server.restart();
  await ann.isConnected();
  await page.click('#pending .link', 'Try again');
  for (const person of [ann, bob]) await person.sees(['hello', 'one day']);
  behaved([NOBODY, UNANSWERED], ann, bob);
});
