// A network that breaks: a TCP proxy before a server, whose connections end where the test wants them to.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Proxy {
  #listener = createServer((client) => this.#accept(client));
  #sockets = new Set();
  #server;
  /** For each new connection: how many bytes of answers pass before it breaks. */
  answerBytes = () => Infinity;
  /** How many connections have broken in the middle of an answer. */
  cuts = 0;

  static async start(test, server) {
    const proxy = new Proxy();
    proxy.#server = server;
    test.after(() => proxy.#end());
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#listener.address().port}`;
  }

  /** Breaks what there is. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(client) {
    const server = connect(this.#server.port, '127.0.0.1');
    let left = this.answerBytes();
    const end = () => [client, server].forEach((socket) => socket.destroy());
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', end).on('close', () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    client.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => {
      const passes = bytes.subarray(0, Math.min(left, bytes.length));
      left -= passes.length;
      if (passes.length === bytes.length) return client.write(bytes);
      this.cuts += 1;
      client.end(passes, end);
    });
  }

  #end() {
    this.#listener.close();
    this.cut();
  }
}
