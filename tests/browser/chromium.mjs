// A headless Chromium and its pages, spoken to by the protocol of its developer tools over a pipe: no driver and no package between.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BINARY = process.env.CHROMIUM ?? 'chromium';
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run', '--hide-scrollbars',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-features=Translate,MediaRouter',
  '--remote-debugging-pipe',
];
/** Only a test that fails waits for so long. */
const PATIENCE_MS = 60_000;
const STEP_MS = 20;

/** Waits until something is true, or yields what it has become. */
export async function until(what, isTrue) {
  const endMs = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await isTrue();
    if (value) return value;
    if (Date.now() > endMs) throw new Error(`not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

export class Chromium {
  #folder = mkdtempSync(join(tmpdir(), 'loiter-chromium-'));
  #process;
  #last = 0;
  #asked = new Map();
  #pages = new Map();
  #rest = '';

  static async start(test) {
    const chromium = new Chromium();
    test.after(() => chromium.#end());
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'];
    chromium.#process = spawn(BINARY, [...FLAGS, `--user-data-dir=${chromium.#folder}`], { stdio });
    chromium.#process.stdio[4].setEncoding('utf8').on('data', (data) => chromium.#read(data));
    await chromium.ask('Browser.getVersion');
    return chromium;
  }

  ask(method, parameters = {}, sessionId = undefined) {
    const id = (this.#last += 1);
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params: parameters, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#asked.set(id, { method, resolve, reject }));
  }

  /** A page of somebody who shares neither cookies nor storage with others; or, with `browserContextId`, another window of theirs. */
  async page(url, size, browserContextId) {
    browserContextId ??= (await this.ask('Target.createBrowserContext')).browserContextId;
    const { targetId } = await this.ask('Target.createTarget', { url: 'about:blank', browserContextId });
    const { sessionId } = await this.ask('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId, browserContextId);
    this.#pages.set(sessionId, page);
    await page.begin(url, size);
    return page;
  }

  #read(data) {
    const parts = (this.#rest + data).split('\0');
    this.#rest = parts.pop();
    for (const part of parts) this.#take(JSON.parse(part));
  }

  #take({ id, result, error, method, params, sessionId }) {
    if (id === undefined) return this.#pages.get(sessionId)?.take(method, params);
    const { resolve, reject, method: asked } = this.#asked.get(id);
    this.#asked.delete(id);
    if (error) reject(new Error(`${asked}: ${error.message}`));
    else resolve(result);
  }

  async #end() {
    const ended = once(this.#process, 'exit');
    this.ask('Browser.close').catch(() => {});
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), PATIENCE_MS);
    await ended;
    clearTimeout(timer);
    // Those that it has started may go a moment later, and write until then.
    const isGone = () => {
      try {
        rmSync(this.#folder, { recursive: true, force: true });
        return true;
      } catch {
        return false;
      }
    };
    await until('the browser has ended', isGone);
  }
}

/** Keys that are no characters, by their codes. */
const KEYS = { Backspace: 8, Enter: 13, Escape: 27, Tab: 9, ArrowUp: 38, ArrowDown: 40, Home: 36, PageUp: 33 };

class Page {
  #chromium;
  #session;
  context;
  /** What the page must not do: exceptions, messages on the console, what its policy has forbidden. */
  complaints = [];
  /** Requests that have failed, or were answered with a status that says so. */
  failures = [];

  constructor(chromium, session, context) {
    this.#chromium = chromium;
    this.#session = session;
    this.context = context;
  }

  ask(method, parameters) {
    return this.#chromium.ask(method, parameters, this.#session);
  }

  async begin(url, size) {
    for (const domain of ['Page', 'Runtime', 'Log', 'Network', 'Accessibility']) await this.ask(`${domain}.enable`);
    await this.ask('Page.addScriptToEvaluateOnNewDocument', {
      source: "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective, event.blockedURI))",
    });
    await this.ask('Emulation.setLocaleOverride', { locale: 'en-GB' });
    await this.ask('Emulation.setTimezoneOverride', { timezoneId: 'UTC' });
    await this.resize(size);
    // As if it had the focus, though another page may have it.
    await this.ask('Emulation.setFocusEmulationEnabled', { enabled: true });
    await this.ask('Page.navigate', { url });
  }

  take(method, parameters) {
    if (method === 'Runtime.exceptionThrown') this.complaints.push(parameters.exceptionDetails.exception?.description ?? parameters.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled') this.complaints.push(parameters.args.map(({ value, description }) => value ?? description).join(' '));
    if (method === 'Log.entryAdded') {
      const { source, level, text, url } = parameters.entry;
      if (source === 'network') this.failures.push(`${text} ${url}`);
      else if (level !== 'verbose') this.complaints.push(`${source}: ${text}`);
    }
  }

  resize({ width, height, isDark = false, isTouched = false }) {
    return Promise.all([
      this.ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: isTouched }),
      this.ask('Emulation.setTouchEmulationEnabled', { enabled: isTouched }),
      this.ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: isDark ? 'dark' : 'light' }] }),
    ]);
  }

  reload() {
    return this.ask('Page.reload');
  }

  /** What a function of the page's yields; it is given strings and numbers. */
  async run(task, ...given) {
    const expression = `(${task})(...${JSON.stringify(given)})`;
    const { result, exceptionDetails } = await this.ask('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** The text of what a selector finds and can be seen; undefined where there is no such thing. While a page is loaded anew there is nothing. */
  text(selector) {
    const look = (sought) => {
      const found = [...document.querySelectorAll(sought)].find((one) => one.checkVisibility());
      return found?.innerText;
    };
    return this.run(look, selector).catch(() => undefined);
  }

  shows(selector, wanted) {
    const isThere = async () => (await this.text(selector))?.includes(wanted);
    return until(`${selector} shows ${wanted}`, isThere).catch(async (error) => {
      throw new Error(`${error.message}\n${await this.text('body')}\n${this.complaints.join('\n')}`);
    });
  }

  lacks(selector) {
    return until(`no ${selector}`, async () => (await this.text(selector)) === undefined);
  }

  /** Clicks in the middle of an element, once it is where nothing covers it. */
  async click(selector, wanted = '') {
    const place = (sought, text) => {
      const isIt = (one) => one.checkVisibility() && one.innerText.includes(text);
      const found = [...document.querySelectorAll(sought)].find(isIt);
      found?.scrollIntoView({ block: 'nearest' });
      const { left, top, width, height } = found?.getBoundingClientRect() ?? {};
      const [x, y] = [left + width / 2, top + height / 2];
      return found?.contains(document.elementFromPoint(x, y)) ? { x, y } : undefined;
    };
    const { x, y } = await until(`${selector} ${wanted} can be clicked`, () => this.run(place, selector, wanted).catch(() => undefined));
    const button = { x, y, button: 'left', clickCount: 1 };
    await this.ask('Input.dispatchMouseEvent', { type: 'mousePressed', ...button });
    await this.ask('Input.dispatchMouseEvent', { type: 'mouseReleased', ...button });
  }

  /** Types into what has the focus. */
  type(text) {
    return this.ask('Input.insertText', { text });
  }

  async press(key, { shift = false } = {}) {
    const text = key === 'Enter' ? '\r' : undefined;
    const event = { key, code: key, windowsVirtualKeyCode: KEYS[key], modifiers: shift ? 8 : 0, text };
    await this.ask('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', ...event });
    await this.ask('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  }

  async fill(selector, text) {
    await this.click(selector);
    await this.run((sought) => document.querySelector(sought).select(), selector);
    await this.type(text);
  }

  /** What has the focus: its id, or its name. */
  focus() {
    return this.run(() => document.activeElement.id || document.activeElement.tagName);
  }

  async screenshot() {
    const { data } = await this.ask('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }

  /** Roles and names, as whoever listens to the page gets them. */
  async accessible() {
    const { nodes } = await this.ask('Accessibility.getFullAXTree');
    return nodes.filter(({ ignored }) => !ignored).map(({ role, name }) => ({ role: role?.value, name: name?.value ?? '' }));
  }
}
