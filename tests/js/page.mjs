// A page for the documentation's example, as far as that looks at it: `node --import page.mjs page-example.mjs` with LOITER_URL, and
// LOITER_PAGE as the file of its localStorage. Each line of standard input, `CHATROOM MESSAGE`, is entered in its form; at SIGTERM the page is left.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const { LOITER_URL: origin, LOITER_PAGE: store } = process.env;
const stored = existsSync(store) ? JSON.parse(readFileSync(store, 'utf8')) : {};
const listeners = {};

// Nothing is entered before there is somebody to take it.
const form = {
  addEventListener(type, submit) {
    createInterface({ input: process.stdin }).on('line', (line) => {
      const [chatroomid, ...words] = line.split(' ');
      submit({ preventDefault() {}, target: Object.entries({ chatroomid, message: words.join(' ') }) });
    });
  },
};
const elements = { form, '#offline': {}, '#messages': { append: (text) => process.stdout.write(text) } };

globalThis.document = { querySelector: (name) => elements[name], addEventListener() {}, removeEventListener() {} };
globalThis.location = { reload: () => process.exit(1) };
globalThis.localStorage = {
  getItem: (name) => stored[name] ?? null,
  setItem: (name, value) => {
    stored[name] = value;
    writeFileSync(store, JSON.stringify(stored));
  },
};
globalThis.addEventListener = (type, listener) => (listeners[type] = listener);
globalThis.removeEventListener = () => {};
globalThis.FormData = class {
  constructor(entered) {
    return entered;
  }
};

const { fetch } = globalThis;
globalThis.fetch = (path, request) => fetch(new URL(path, origin), request);

process.on('SIGTERM', () => {
  listeners.pagehide();
  process.exit(0);
});
