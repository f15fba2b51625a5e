// loiter.js as an ES module. Its name says only `.js`, and no package beside it says which kind that is: a copy does.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'loiter-module-'));
const copy = join(folder, 'loiter.mjs');
copyFileSync(new URL('../../src/web/loiter.js', import.meta.url), copy);

export const { Client, LoiterError } = await import(copy);

rmSync(folder, { recursive: true });
