// Three servers that are sent the same bytes, and what each of them made of these: whom it has registered.
//
// What counts is the application behind the HTTP: loiter's own API, or one that notes whom it is asked to register, once that request has come
// whole. nginx passes requests on to such an application, as it is mostly used, by its own reading of where each ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const BINARY = process.env.LOITER_BINARY;
if (!BINARY) throw new Error('run tests/differential.sh: it says where the built loiter is');

/** A limit that only a failing test reaches. */
const PATIENCE_MS = 20_000;

/**
 * Writes the bytes, ends, and resolves to what comes back until the server ends too. Nothing but that end is waited for, so that
 * it does not matter how fast a server is.
 */
export function exchange(address, bytes) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(address);
    const came = [];
    const timer = setTimeout(() => socket.destroy(new Error('the server does not end')), PATIENCE_MS);
    socket.on('data', (piece) => came.push(piece));
    let failure;
    socket.on('error', (error) => (failure = error));
    socket.on('close', () => {
      clearTimeout(timer);
      // A server may break a connection off before it has read all of what it refuses.
      const isBroken = failure && !['ECONNRESET', 'EPIPE'].includes(failure.code);
      if (isBroken) reject(failure);
      else resolve(Buffer.concat(came).toString('latin1'));
    });
    socket.end(Buffer.from(bytes, 'latin1'));
  });
}

/** Notes whom it is asked to register, by the target or a form: a name anywhere else is no more than bytes. */
class Application {
  #registered = new Set();
  server = http.createServer((request, response) => {
    const body = [];
    request.on('data', (piece) => body.push(piece));
    request.on('end', () => {
      const query = new URLSearchParams(request.url.slice(request.url.indexOf('?')));
      const isForm = request.headers['content-type'] === 'application/x-www-form-urlencoded';
      const form = new URLSearchParams(isForm ? Buffer.concat(body).toString('latin1') : '');
      this.#registered.add(form.get('username') ?? query.get('username'));
      response.end('{}');
    });
    request.on('error', () => {});
  });

  async listen(path) {
    // Who has ended is still answered.
    this.server.httpAllowHalfOpen = true;
    this.server.listen(path);
    await once(this.server, 'listening');
  }

  knows(name) {
    return this.#registered.has(name);
  }
}

export class Node {
  name = `Node ${process.versions.node}`;
  #application = new Application();

  static async start(test) {
    const node = new Node();
    const folder = mkdtempSync(join(tmpdir(), 'loiter-node-'));
    node.address = { path: join(folder, 'socket') };
    await node.#application.listen(node.address.path);
    test.after(() => {
      node.#application.server.close();
      rmSync(folder, { recursive: true });
    });
    return node;
  }

  async knows(name) {
    return this.#application.knows(name);
  }
}

const NGINX_CONF = (folder) => `
daemon off;
master_process off;
pid ${folder}/pid;
error_log ${folder}/error.log info;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${folder}/${what};`).join('\n  ')}
  large_client_header_buffers 4 16k;
  client_max_body_size 64k;
  proxy_ignore_client_abort on;
  server {
    listen unix:${folder}/socket;
    location / {
      proxy_pass http://unix:${folder}/application:;
    }
  }
}
`;

export class Nginx {
  name = 'nginx';
  #application = new Application();

  static async start(test) {
    const nginx = new Nginx();
    const folder = mkdtempSync(join(tmpdir(), 'loiter-nginx-'));
    await nginx.#application.listen(join(folder, 'application'));
    writeFileSync(join(folder, 'conf'), NGINX_CONF(folder));
    nginx.address = { path: join(folder, 'socket') };
    const options = ['-p', folder, '-c', join(folder, 'conf'), '-e', join(folder, 'error.log')];
    const child = spawn('nginx', options, { stdio: ['ignore', 'ignore', 'inherit'] });
    test.after(async () => {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      nginx.#application.server.close();
      rmSync(folder, { recursive: true });
    });
    await nginx.#listens(child);
    return nginx;
  }

  /** nginx says to nobody that it listens: it is asked until it answers, or has ended. */
  async #listens(child) {
    for (const start = Date.now(); Date.now() - start < PATIENCE_MS; ) {
      assert.equal(child.exitCode, null, 'nginx has ended');
      const came = await exchange(this.address, 'GET /ready HTTP/1.0\r\n\r\n').catch(() => '');
      if (came.startsWith('HTTP/1.1 200 ')) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.fail('nginx does not listen');
  }

  async knows(name) {
    return this.#application.knows(name);
  }
}

export class Loiter {
  name = 'loiter';
  #session;

  static async start(test) {
    const loiter = new Loiter();
    const folder = mkdtempSync(join(tmpdir(), 'loiter-differential-'));
    const options = ['--listen', '127.0.0.1:0', '--database', join(folder, 'loiter.db'), '--password-iterations', '1000', '--log', 'error'];
    const child = spawn(BINARY, options, { stdio: ['ignore', 'pipe', 'inherit'] });
    test.after(async () => {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      rmSync(folder, { recursive: true });
    });
    const [line] = await once(createInterface(child.stdout), 'line');
    loiter.address = { port: Number(/:(\d+)$/.exec(line)[1]), host: '127.0.0.1' };
    const who = '?username=asker&password=pw';
    await loiter.#ask('POST', `/register/${who}`);
    const login = await loiter.#ask('POST', `/login/${who}`);
    loiter.#session = /^set-cookie: (session=[^;]*)/im.exec(login)[1];
    return loiter;
  }

  #ask(method, target) {
    const cookie = this.#session ? `Cookie: ${this.#session}\r\n` : '';
    return exchange(this.address, `${method} ${target} HTTP/1.1\r\nHost: h\r\n${cookie}Connection: close\r\n\r\n`);
  }

  async knows(name) {
    const answer = await this.#ask('GET', `/message/getUser/?name=${name}`);
    assert.match(answer, /^HTTP\/1.1 200 /);
    return answer.includes(`"username":"${name}"`);
  }
}
