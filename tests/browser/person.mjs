// What a person does with the chat page, and what they see.
import { until } from './chromium.mjs';

export const DESKTOP = { width: 1280, height: 800 };

export class Person {
  #name;
  page;

  constructor(name, page) {
    this.#name = name;
    this.page = page;
  }

  static async at(chromium, url, name, size = DESKTOP) {
    return new Person(name, await chromium.page(url, size));
  }

  /** Another window of the same person's. */
  async window(chromium, url, size = DESKTOP) {
    return new Person(this.#name, await chromium.page(url, size, this.page.context));
  }

  async register() {
    await this.page.shows('#login-title', 'Log in');
    await this.page.click('#other');
    await this.page.shows('#login-title', 'Register');
    await this.#enter();
  }

  async logIn() {
    await this.page.shows('#login-title', 'Log in');
    await this.#enter();
  }

  async #enter() {
    await this.page.fill('#username', this.#name);
    await this.page.fill('#password', 'correct horse');
    await this.page.press('Enter');
    await this.page.shows('#me', this.#name);
  }

  async openNew(name) {
    await this.page.click('#new');
    await this.page.shows('#naming-title', 'New chatroom');
    await this.page.type(name);
    await this.page.press('Enter');
    await this.page.lacks('#naming');
    await until('the search has the focus', async () => (await this.page.focus()) === 'search');
  }

  /** By the begin of a name, as far as it takes. */
  async add(begin, name) {
    await this.page.fill('#search', begin);
    await this.page.shows('#found', name);
    await this.page.press('Enter');
    await this.page.shows('#participants', name);
  }

  open(title) {
    return this.page.click('#list a', title);
  }

  async say(...lines) {
    await this.page.click('#text');
    for (const [at, line] of lines.entries()) {
      if (at > 0) await this.page.press('Enter', { shift: true });
      await this.page.type(line);
    }
    await this.page.press('Enter');
  }

  /** Nothing is said of trouble. */
  isConnected() {
    return until('it is connected', async () => (await this.page.text('#trouble')) === '');
  }

  /** The texts of the conversation that is open, those on their way aside. */
  conversation() {
    const read = () => [...document.querySelectorAll('#messages .text')].map((text) => text.textContent);
    return this.page.run(read).catch(() => []);
  }

  async sees(texts) {
    const wanted = JSON.stringify(texts);
    let seen;
    const isSeen = async () => (seen = JSON.stringify(await this.conversation())) === wanted;
    await until('the conversation is as it should be', isSeen).catch((error) => {
      throw new Error(`${error.message}\nwanted ${wanted}\nseen   ${seen}`);
    });
  }
}
