// What two people do on the chat page, in a browser.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Client, Server } from '../js/server.mjs';
import { Chromium, until } from './chromium.mjs';
import { Person } from './person.mjs';
import { LIMIT, NOBODY, UNANSWERED, behaved, inOneChatroom, twoPeople } from './setting.mjs';

const PHONE = { width: 320, height: 568, isTouched: true };
const HOSTILE = '<script>alert(1)</script><img src="/x" onerror="alert(1)"><b>&amp;</b> javascript:alert(1)';

/** What somebody is about to say. */
const written = ({ page }) => page.run(() => document.querySelector('#text').value);

test('two people chat in several windows, and a reload changes nothing', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { ann, bob, chromium, server } = made;
  await inOneChatroom(made);
  await bob.page.shows('#unread', 'New');
  await bob.page.lacks('.badge');
  await bob.say('hi', 'there');
  await ann.say(HOSTILE);
  const said = ['hello', 'hi\nthere', HOSTILE];
  await ann.sees(said);
  await bob.sees(said);
  assert.equal(await bob.page.run(() => document.querySelectorAll('#messages :is(script, img, b, a)').length), 0);

  const other = await bob.window(chromium, server.url);
  await other.open('tea');
  await other.sees(said);
  await other.say('from another window');
  said.push('from another window');
  for (const person of [ann, bob, other]) await person.sees(said);

  await ann.page.click('#text');
  await ann.page.type('half a thought');
  for (const person of [ann, bob]) {
    await person.page.reload();
    await person.page.shows('#title', 'tea');
    await person.sees(said);
  }
  assert.equal(await written(ann), 'half a thought');
  await ann.page.click('#text');
  await ann.page.press('Enter');
  said.push('half a thought');
  await ann.page.shows('#subtitle', '2 here now');
  await ann.say('after the reload');
  said.push('after the reload');
  for (const person of [ann, bob, other]) await person.sees(said);
  behaved([NOBODY], ann, bob, other);
});

test('what was said long ago comes on scrolling up', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { ann, bob, server } = made;
  await inOneChatroom(made);
  const client = new Client(server.url);
  await client.login('Ann', 'correct horse');
  const said = ['hello'];
  for (let n = 2; n <= 170; n += 1) said.push(`number ${n}`);
  for (const text of said.slice(1)) await client.send(1, text, { limit: 1 });
  await bob.sees(said);
  await bob.page.reload();
  await bob.page.shows('#messages', 'number 170');
  const atFirst = await bob.conversation();
  assert.ok(atFirst.length < 120, `${atFirst.length} were loaded at once`);
  await until('all is there', async () => {
    await bob.page.run(() => (document.querySelector('#log').scrollTop = 0));
    return (await bob.conversation()).length === said.length;
  });
  await bob.sees(said);
  await bob.page.shows('#earlier', 'This is where it begins');
  // What comes meanwhile does not take away what is being read.
  await bob.page.run(() => (document.querySelector('#log').scrollTop = 0));
  await ann.open('tea');
  await ann.say('news');
  await bob.page.shows('#newer', '1 new');
  assert.ok(await bob.page.run(() => document.querySelector('#log').scrollTop < 400));
  await bob.page.click('#newer');
  await bob.page.lacks('#newer');
  await bob.page.lacks('.badge');
  behaved([NOBODY], ann, bob);
});

test('chatrooms without a name are called by who is in them, and people come and go', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { ann, bob } = made;
  await inOneChatroom(made);
  await bob.openNew('');
  await bob.add('an', 'Ann');
  await bob.page.shows('#title', 'Ann');
  await bob.say('just us');
  await ann.page.shows('#list a[data-unread]', 'Bob');
  assert.equal(await ann.page.run(() => document.title), '(1) tea – loiter');
  await ann.open('Bob');
  await ann.sees(['just us']);
  await ann.page.lacks('.badge');
  await until('nothing is unread', () => ann.page.run(() => document.title === 'Bob – loiter'));

  // Who is no admin adds nobody; and the admin stays while others do.
  assert.equal(await ann.page.text('#adding'), undefined);
  await bob.page.click('#leave');
  await bob.page.click('#leaving .danger');
  await bob.page.shows('#leaving-error', 'others are still in it');
  await bob.page.press('Escape');
  await bob.page.lacks('#leaving');

  await ann.page.click('#leave');
  await ann.page.shows('#leaving-title', 'Bob');
  await ann.page.click('#leaving .danger');
  await until('it is gone from the list', async () => !(await ann.page.text('#list')).includes('Bob'));
  await ann.page.shows('#nothing', 'Choose a chatroom');

  await ann.open('tea');
  await ann.page.shows('#participants', 'Bob');
  await ann.page.click('[aria-label="Remove Bob"]');
  await until('he is gone', async () => !(await ann.page.text('#participants')).includes('Bob'));
  await ann.page.click('#rename');
  await ann.page.type('coffee');
  await ann.page.press('Enter');
  await ann.page.shows('#title', 'coffee');
  behaved([NOBODY, /403 \(Forbidden\) .*leaveChatroom/], ann, bob);
});

test('what is asked for twice in a moment is done once', LIMIT, async (t) => {
  const server = await Server.startAlone(t);
  const ann = await Person.at(await Chromium.start(t), server.url, 'Ann');
  await ann.register();
  await ann.page.click('#new');
  await ann.page.shows('#naming-title', 'New chatroom');
  await ann.page.run(() => ['', ''].forEach(() => document.querySelector('#naming form').requestSubmit()));
  await ann.page.lacks('#naming');
  await ann.openNew('the second');
  await until('there are two', () => ann.page.run(() => document.querySelectorAll('#list a').length === 2));
  behaved([NOBODY], ann);
});

test('it is used by keys alone, and by those who listen', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { ann, bob } = made;
  await inOneChatroom(made);
  await ann.openNew('milk');
  await ann.page.run(() => document.querySelector('#list a').focus());
  await ann.page.press('ArrowDown');
  await ann.page.press('Enter');
  await until('the other one is open', () => ann.page.run(() => document.querySelectorAll('#list a')[1].ariaCurrent === 'page'));
  await until('one can write', async () => (await ann.page.focus()) === 'text');
  await ann.page.run(() => document.querySelector('#list a').focus());
  await ann.page.press('Enter');
  await until('the first one is open', () => ann.page.run(() => document.querySelector('#list a').ariaCurrent === 'page'));

  // The search is a combobox: the arrows tell which one is meant, Escape closes the list, and again the people.
  await ann.page.run(() => document.querySelector('#search').focus());
  await ann.page.type('b');
  await ann.page.shows('#people', 'Add a person');
  await bob.say('are you there?');
  await ann.page.shows('#announcer', 'Bob');
  await ann.page.press('Escape');
  await ann.page.press('Escape');
  await ann.page.lacks('#people');
  assert.equal(await ann.page.focus(), 'show-people');
  await ann.page.press('Enter');
  assert.equal(await ann.page.focus(), 'people-title');

  for (const { page } of [ann, bob]) {
    const nodes = await page.accessible();
    const spoken = nodes.filter(({ role }) => ['button', 'link', 'textbox', 'combobox', 'log', 'navigation', 'main', 'complementary'].includes(role));
    assert.ok(spoken.length > 8);
    assert.deepEqual(spoken.filter(({ name }) => name.trim() === ''), []);
  }
  behaved([NOBODY], ann, bob);
});

test('nothing is cut off on a narrow screen', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { bob: { page }, bob, server } = made;
  await inOneChatroom(made);
  await bob.say(`a_word_that_has_no_end_${'x'.repeat(200)}`);
  await bob.say(...Array(12).fill('a long story'));
  await page.resize({ width: 800, height: 700 });
  await page.shows('#messages', 'a long story');
  await page.resize(PHONE);
  const fits = async (what) => {
    await page.shows('body', what);
    const widest = () => Math.max(...[...document.querySelectorAll('body *')].filter((one) => one.checkVisibility() && !one.closest('.unseen')).map((one) => one.getBoundingClientRect().right));
    assert.ok((await page.run(widest)) <= 320, `${what}: ${await page.run(widest)}`);
  };
  await fits('hello');
  await page.click('#show-people');
  await fits('here now');
  await page.click('#hide-people');
  // Where one has read comes back with the conversation.
  const below = () => page.run(() => document.querySelector('#log').scrollHeight - document.querySelector('#log').clientHeight - document.querySelector('#log').scrollTop);
  await until('its end is there again', async () => (await below()) < 2 && !(await page.text('#newer')));
  await page.click('#back');
  await fits('Chatrooms');
  assert.equal(await page.text('#conversation'), undefined);
  await page.click('#new');
  await fits('New chatroom');
  await page.press('Escape');
  await page.click('#list a', 'tea');
  await fits('a_word');
  const height = (sought) => page.run((one) => document.querySelector(one).clientHeight, sought);
  const one = await height('#text');
  await page.click('#text');
  await page.type('wide enough for a line');
  await page.resize({ ...PHONE, width: 240 });
  await until('it has a second line', async () => (await height('#text')) > one);
  await page.resize(PHONE);
  await server.kill();
  await fits('Try now');
  assert.ok((await height('#trouble')) < 2 * 24);
  await server.restart();
  await page.click('#retry');
  await bob.isConnected();
  await page.click('#back');
  await page.click('#logout');
  await fits('Log in to loiter');
  behaved([NOBODY, UNANSWERED], bob);
});

test('who logs out is gone, and what is wrong is said', LIMIT, async (t) => {
  const made = await twoPeople(t);
  const { ann, bob, chromium, server } = made;
  await inOneChatroom(made);
  const other = await bob.window(chromium, server.url);
  await other.page.shows('#list', 'tea');
  await bob.page.click('#text');
  await bob.page.type('not for whoever comes next');
  await bob.page.click('#logout');
  await bob.page.shows('#login-title', 'Log in');
  assert.equal(await bob.page.run(() => document.body.innerText.includes('hello')), false);
  await other.page.shows('#login-error', 'Your session is over');

  await bob.page.fill('#username', 'Bob');
  await bob.page.fill('#password', 'wrong');
  await bob.page.press('Enter');
  await bob.page.shows('#login-error', 'no user with this name and password');
  await bob.page.click('#other');
  await bob.page.fill('#username', 'B\u200bob');
  await bob.page.press('Enter');
  await bob.page.shows('#login-error', 'The username must not hold the character U+200B');
  await bob.page.fill('#username', 'Bob');
  await bob.page.press('Enter');
  await bob.page.shows('#login-error', 'Another user has this name');
  await bob.page.click('#other');
  await bob.page.fill('#username', 'Bob ');
  await bob.page.fill('#password', 'correct horse');
  await bob.page.press('Enter');
  await bob.page.shows('#me', 'Bob');
  await bob.open('tea');
  await bob.sees(['hello']);
  assert.equal(await written(bob), '');
  await bob.page.shows('#participants', 'Ann');
  behaved([NOBODY, /401 .*longpoll|(400|409) .*register/], ann, bob, other);
});
