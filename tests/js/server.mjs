// The built loiter as a process of the test's own, which can be killed, and the users of a test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Client } from './module.mjs';

export { Client };

const BINARY = process.env.LOITER_BINARY;
if (!BINARY) throw new Error('run tests/javascript.sh: it says where the built loiter is');

/** A server with a database of its own; `port` is another after each start, unless it is alone at its address. */
export class Server {
  #folder = mkdtempSync(join(tmpdir(), 'loiter-js-'));
  #process;
  #host = '127.0.0.1';
  #isAlone = false;
  port = 0;

  static async start(test, ...options) {
    const server = new Server();
    server.options = options;
    test.after(() => server.end());
    await server.restart();
    return server;
  }

  /** At an address that nobody else uses (all of 127/8 is loopback): so while the server is down nobody is given its port. */
  static async startAlone(test, ...options) {
    const server = new Server();
    const part = () => 20 + Math.floor(Math.random() * 200);
    Object.assign(server, { options });
    server.#host = `127.${part()}.${part()}.${part()}`;
    server.#isAlone = true;
    test.after(() => server.end());
    await server.restart();
    return server;
  }

  get url() {
    return `http://${this.#host}:${this.port}`;
  }

  async restart() {
    const database = join(this.#folder, 'loiter.db');
    const own = ['--listen', `${this.#host}:${this.#isAlone ? this.port : 0}`, '--database', database, '--password-iterations', '1000', '--log', 'error'];
    this.#process = spawn(BINARY, [...own, ...this.options], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface(this.#process.stdout), 'line');
    this.port = Number(/:(\d+)$/.exec(line)[1]);
  }

  /** SIGKILL: nothing is finished that was begun. */
  async kill() {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }

  async end() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.kill();
    rmSync(this.#folder, { recursive: true });
  }
}

/** A user who is new and logged in; `url` is where loiter is for them. */
export async function user(url, name, options) {
  const client = new Client(url, { backoffMs: [20, 200], ...options });
  await client.register(name, 'pw');
  await client.login(name, 'pw');
  return client;
}
