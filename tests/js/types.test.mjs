// loiter.d.ts declares what there is in loiter.js, and nothing else.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as module from './module.mjs';

const [declared, source] = ['d.ts', 'js'].map((end) => readFileSync(new URL(`../../src/web/loiter.${end}`, import.meta.url), 'utf8'));

/** The names that a pattern finds at the beginning of lines, once each. */
function names(text, pattern) {
  return [...new Set([...text.matchAll(pattern)].map(([, name]) => name))].sort();
}

/** The body of a class or an interface. */
function body(text, name) {
  return new RegExp(`^(?:export )?(?:class|interface) ${name}\\b[^]*?\\n}$`, 'm').exec(text)[0];
}

/** The members of one, without those that are private. */
const members = (text, name) => names(body(text, name), /^ {2}(?:readonly |async |get )*(\w+)(?=[?;:(<])/gm);

test('the same names are exported', () => {
  const values = names(declared, /^export (?:class|function|const) (\w+)/gm);
  assert.deepEqual(values, names(source, /^export (?:class|function|const) (\w+)/gm));
  assert.deepEqual(values, Object.keys(module).sort());
});

test('classes have the same members', () => {
  for (const name of ['Client', 'Following']) {
    assert.ok(members(declared, name).includes(name === 'Client' ? 'send' : 'stop'));
    assert.deepEqual(members(declared, name), members(source, name).filter((member) => name === 'Client' || member !== 'constructor'));
  }
  const error = new module.LoiterError(409, 'since_ahead', 'A sentence.', { last: 1 });
  const own = Object.keys(error).filter((name) => name !== 'name');
  assert.deepEqual(members(declared, 'LoiterError'), ['constructor', 'isTransient', ...own].sort().filter((name) => name !== 'message'));
});

test('each option that is declared is read', () => {
  for (const name of names(declared, /^ {2}(\w+)\?:/gm)) assert.match(source, new RegExp(`\\b${name}\\b`));
});
