import { once } from 'node:events';
import { type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAdaptorServer } from '@hono/node-server';
import { ResourceError } from '../../system/index.ts';
import { failureOf, RequestError } from '../request-error.ts';
import { type AppOptions, createApp } from './app.ts';
import type { ConnectionFault, Metrics } from './metrics.ts';

export interface ListenOptions extends AppOptions {
  /** Default 127.0.0.1: only this machine. */
  host?: string | undefined;
  /** 0: any free port. Default 8090. */
  port?: number | undefined;
  /** A client that sends its headers slower than this is cut off. Default 10 s. */
  headersMs?: number | undefined;
  /** A client that sends its whole request slower than this is cut off. Default 60 s. */
  requestMs?: number | undefined;
  /** Most connections at once; others are closed. Default 4096. */
  mostConnections?: number | undefined;
}

const [HEADERS_MS, REQUEST_MS, MOST_CONNECTIONS] = [10_000, 60_000, 4096];

/** A server that listens. */
export interface Listening {
  /** `http://HOST:PORT` */
  url: string;
  /**
   * Waits for the requests in flight, at most this long, and closes all connections. Until then further ones are taken, so that a server
   * that ends can say so.
   */
  close(milliseconds: number): Promise<void>;
}

/** @throws ResourceError if the port is taken, or needs rights */
export function listen({ host = '127.0.0.1', port = 8090, ...options }: ListenOptions): Promise<Listening> {
  const { fetch, metrics } = createApp(options);
  return listenWith({ fetch }, { host, port, ...options, prepare: (server) => countConnections(server, metrics) });
}

/** How an application of our own is reached. */
export interface ListenWithOptions extends Pick<ListenOptions, 'headersMs' | 'requestMs' | 'mostConnections'> {
  host: string;
  port: number;
  /** Called before it listens. */
  prepare?: (server: Server) => void;
}

/**
 * Lets an application answer at an address.
 * @throws ResourceError if the port is taken, or needs rights
 */
export async function listenWith(
  app: { fetch(request: Request): Response | Promise<Response> },
  { host, port, prepare, ...limits }: ListenWithOptions,
): Promise<Listening> {
  const { headersMs = HEADERS_MS, requestMs = REQUEST_MS, mostConnections = MOST_CONNECTIONS } = limits;
  const server = createAdaptorServer({
    ...{ fetch: (request: Request) => app.fetch(request), overrideGlobalObjects: false },
    serverOptions: {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      // How often Node looks for clients that are too slow; its default is half a minute.
      connectionsCheckingInterval: Math.min(1000, headersMs / 2),
    },
  }) as Server;
  server.maxConnections = mostConnections;
  const inFlight = new Set<ServerResponse>();
  server.on('request', (_request, response: ServerResponse) => {
    inFlight.add(response);
    response.once('close', () => inFlight.delete(response));
  });
  prepare?.(server);
  server.listen(port, host);
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${error.code ?? error.message})`;
    const option = /NOTFOUND|ADDRNOTAVAIL|EAI_/.test(error.code ?? '') ? '--host' : '--port';
    throw new ResourceError(`port ${port} of ${host} ${reason}`, {
      fix: `Choose another with ${option}.`,
      cause: error,
    });
  });
  const { address, port: actual, family } = server.address() as AddressInfo;
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${actual}`;
  return { url, close: (milliseconds) => drain(server, inFlight, milliseconds) };
}

/** What Node's parser says of a connection, and what its client is told. */
const CONNECTION_FAULTS: Readonly<Record<string, { reason: ConnectionFault; error: RequestError }>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    reason: 'slow',
    error: new RequestError(408, 'the request took too long to arrive', { fix: 'Send it in one go.' }),
  },
  HPE_HEADER_OVERFLOW: {
    reason: 'headers too large',
    error: new RequestError(431, 'the headers are too large', { fix: 'Send smaller headers.' }),
  },
};
const MALFORMED = {
  reason: 'malformed' as const,
  error: new RequestError(400, 'this is no HTTP request', { fix: 'Speak HTTP/1.1.' }),
};

/** Answers and counts what never becomes a request. */
function countConnections(server: Server, metrics: Metrics): void {
  server.on('drop', () => metrics.connection('too many'));
  server.on('clientError', (fault: NodeJS.ErrnoException, socket: Socket) => {
    // The client is gone.
    if (fault.code === 'ECONNRESET' || !socket.writable) return socket.destroy(fault);
    const { reason, error } = CONNECTION_FAULTS[fault.code ?? ''] ?? MALFORMED;
    metrics.connection(reason);
    const body = JSON.stringify(failureOf(error));
    const head = `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\nconnection: close\r\ncontent-type: application/json`;
    socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () => socket.destroy());
  });
}

async function drain(server: Server, inFlight: ReadonlySet<ServerResponse>, milliseconds: number): Promise<void> {
  const ended = [...inFlight].map((response) => new Promise((resolve) => response.once('close', resolve)));
  const limit = new AbortController();
  const late = sleep(milliseconds, undefined, { signal: limit.signal }).catch(() => {});
  const started = performance.now();
  await Promise.race([Promise.all(ended), late]);
  limit.abort();
  await closeConnections(server, Math.max(0, milliseconds - (performance.now() - started)));
}

async function closeConnections(server: Server, milliseconds: number): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  // A connection is idle as soon as its request is answered.
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const timer = setTimeout(() => server.closeAllConnections(), milliseconds);
  await closed;
  clearInterval(sweep);
  clearTimeout(timer);
}
