import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { ResourceError } from '../../system/index.ts';
import { type AppOptions, createApp } from './app.ts';

export interface ListenOptions extends AppOptions {
  /** Default 127.0.0.1: only this machine. */
  host?: string | undefined;
  /** 0: any free port. Default 8090. */
  port?: number | undefined;
}

/** A client that sends its headers, or its body, slower than this is cut off. */
const [HEADERS_MS, REQUEST_MS] = [10_000, 60_000];

/** A server that listens. */
export interface Listening {
  /** `http://HOST:PORT` */
  url: string;
  /** Takes no further connections, and waits for the requests in flight, at most this long. */
  close(milliseconds: number): Promise<void>;
}

/** @throws ResourceError if the port is taken, or needs rights */
export async function listen({ host = '127.0.0.1', port = 8090, ...options }: ListenOptions): Promise<Listening> {
  const server = createAdaptorServer({ fetch: createApp(options).fetch, overrideGlobalObjects: false }) as Server;
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = REQUEST_MS;
  server.listen(port, host);
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${error.code ?? error.message})`;
    throw new ResourceError(`port ${port} of ${host} ${reason}`, { fix: 'Choose another with --port.', cause: error });
  });
  const { address, port: actual, family } = server.address() as AddressInfo;
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${actual}`;
  return { url, close: (milliseconds) => drain(server, milliseconds) };
}

async function drain(server: Server, milliseconds: number): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), milliseconds);
  await closed;
  clearTimeout(timer);
}
