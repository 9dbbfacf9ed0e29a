import { createServer, type Server, type Socket } from 'node:net';
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';

const SSL_REQUEST = 80877103;

/**
 * A real PostgreSQL with pgvector inside this process (PGlite), behind a port, so that the real client connects to it. PGlite has one
 * session: a connection keeps it for a transaction, and the others wait.
 */
export class PgliteServer {
  readonly db: PGlite;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #turn: Promise<void> = Promise.resolve();
  /** Called with each connection's message of this kind, such as `B` for the values of a statement. */
  onMessage: (kind: string) => void = () => {};

  private constructor(db: PGlite) {
    this.db = db;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(): Promise<PgliteServer> {
    const server = new PgliteServer(await PGlite.create({ extensions: { vector } }));
    await server.listen();
    return server;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  listen(port = 0): Promise<void> {
    return new Promise((done) => this.#server.listen(port, '127.0.0.1', done));
  }

  /** Cuts all connections, and takes no new ones until it listens again. */
  async cut(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  async stop(): Promise<void> {
    await this.cut().catch(() => {});
    await this.#turn;
    await this.db.close();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let received = Buffer.alloc(0);
    let started = false;
    let work: Promise<void> = Promise.resolve();
    /** Gives the session back; undefined while another connection has it. */
    let release: (() => void) | undefined;
    const handle = async (message: Buffer) => {
      release ??= await this.#takeTurn();
      const answer = await this.db.execProtocolRaw(message, { syncToFs: false });
      if (!socket.destroyed) socket.write(answer);
      // Ready for the next query (Z), and outside a transaction (I).
      if (Buffer.from(answer.slice(-6)).toString('latin1') !== 'Z\0\0\0\x05I') return;
      release();
      release = undefined;
    };
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      for (;;) {
        const start = started ? 1 : 0;
        if (received.length < start + 4) break;
        const length = start + received.readInt32BE(start);
        if (received.length < length) break;
        const message = received.subarray(0, length);
        received = received.subarray(length);
        if (!started && message.readInt32BE(4) === SSL_REQUEST) {
          socket.write('N');
          continue;
        }
        const kind = started ? String.fromCharCode(message[0]!) : 'startup';
        started = true;
        if (kind !== 'X') work = work.then(() => handle(message)).then(() => this.onMessage(kind));
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      // The session of a connection that is gone rolls back.
      void work.then(async () => {
        if (release === undefined) return;
        await this.db.exec('ROLLBACK').catch(() => {});
        release();
      });
    });
  }

  async #takeTurn(): Promise<() => void> {
    const before = this.#turn;
    let release = () => {};
    this.#turn = new Promise((done) => {
      release = done;
    });
    await before;
    return release;
  }
}
