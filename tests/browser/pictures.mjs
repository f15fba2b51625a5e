// What the page looks like in use, light and dark, on a desktop and 320 pixels wide: by tests/browser.sh.
import test from 'node:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Client, Server } from '../js/server.mjs';
import { Chromium } from './chromium.mjs';
import { Person } from './person.mjs';

const FOLDER = process.env.LOITER_PICTURES;
/** No larger than it needs to be to be seen: three of the pictures are kept with the sources. */
const ROOM = { width: 1080, height: 640 };
const PHONE = { width: 320, height: 568, isTouched: true };

const TALK = [
  ['Ann', 'The kettle is on. Who is coming to the allotment on Saturday?'],
  ['Bob', 'I am! Shall I bring the long ladder?'],
  ['Bob', 'The plums at the top are ripe by now.'],
  ['Chidi', 'Count me in. I can take the early shift, from eight or so, if somebody leaves the key under the third pot.'],
  ['Ann', 'Done. And please not like last year:\n– ladder first,\n– then the baskets,\n– and nobody climbs alone.'],
  ['Dóra', 'Süti is coming along too: a whole tray of it.'],
  ['Bob', 'Then we shall need more tea.'],
];

async function users(url, ...names) {
  const all = {};
  for (const name of names) {
    all[name] = new Client(url);
    await all[name].register(name, 'correct horse');
    await all[name].login(name, 'correct horse');
  }
  return all;
}

async function chatroom(owner, name, others) {
  const { chatroomid } = await owner.newChatroom({ name });
  for (const other of others) await owner.addToChatroom(chatroomid, other);
  return chatroomid;
}

async function prepare(url) {
  const all = await users(url, 'Ann', 'Bob', 'Chidi', 'Dóra', 'Bo', 'Boris');
  const quiet = await chatroom(all.Bob, undefined, ['Ann', 'Chidi']);
  const books = await chatroom(all.Dóra, 'Book club', ['Ann', 'Bob']);
  const pair = await chatroom(all.Chidi, undefined, ['Ann']);
  const garden = await chatroom(all.Ann, 'Plums on Saturday', ['Bob', 'Chidi', 'Dóra']);
  await all.Bob.send(quiet, 'See you both at noon.');
  await all.Dóra.send(books, 'Chapter seven for next week?');
  await all.Chidi.send(pair, 'Thank you for the key!');
  for (const [name, message] of TALK) await all[name].send(garden, message);
  return { all, books, pair };
}

async function news({ all, books, pair }) {
  for (const text of ['I have begun', 'and could not stop', 'at all']) await all.Dóra.send(books, text);
  await all.Chidi.send(pair, 'One more thing …');
}

test('pictures', { timeout: 120_000 }, async (t) => {
  const server = await Server.start(t);
  const chromium = await Chromium.start(t);
  mkdirSync(FOLDER, { recursive: true });
  const { page } = await Person.at(chromium, server.url, 'Ann', ROOM);
  const save = async (name, size) => {
    await page.resize(size);
    await page.run(() => new Promise((resolve) => setTimeout(resolve, 300)));
    writeFileSync(join(FOLDER, `${name}.png`), await page.screenshot());
  };
  await page.shows('#login-title', 'Log in');
  await save('login-light', ROOM);
  await save('login-320-dark', { ...PHONE, isDark: true });
  await page.resize(ROOM);

  const made = await prepare(server.url);
  const end = new AbortController();
  t.after(() => end.abort());
  for (const name of ['Bob', 'Dóra']) made.all[name].follow('all', () => {}, { signal: end.signal });
  await new Person('Ann', page).logIn();
  await page.click('#list a', 'Plums');
  await page.shows('#messages', 'more tea');
  await news(made);
  await page.shows('.badge', '1');
  await page.click('#hide-people');
  await page.click('#show-people');
  await page.shows('#subtitle', '3 here now');
  await page.fill('#search', 'bo');
  await page.shows('#found', 'Boris');
  await save('desktop-light', ROOM);
  await save('desktop-dark', { ...ROOM, isDark: true });
  await page.press('Escape');
  await save('tablet-light', { width: 800, height: 700 });
  await page.resize(PHONE);
  await page.click('#show-people');
  await page.shows('#participants', 'Chidi');
  await save('phone-people', PHONE);
  await page.click('#hide-people');
  await save('phone-light', PHONE);
  await save('phone-dark', { ...PHONE, isDark: true });
  await page.click('#back');
  await save('phone-list', PHONE);
  await save('phone-list-dark', { ...PHONE, isDark: true });
  await page.click('#new');
  await save('phone-new', PHONE);
  await page.press('Escape');
  await page.click('#list a', 'Book');
  await server.kill();
  await page.shows('#trouble', 'again');
  await page.click('#text');
  await page.type('Still here?');
  await page.press('Enter');
  await save('phone-again', PHONE);
  await save('desktop-again', ROOM);
});
