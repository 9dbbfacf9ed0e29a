import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A server on this machine for one test. */
export interface LocalServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Every request so far. */
  readonly requests: IncomingMessage[];
  close(): Promise<void>;
}

export async function startServer(handler: Handler): Promise<LocalServer> {
  const requests: IncomingMessage[] = [];
  const server: Server = createServer((request, response) => {
    requests.push(request);
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Sends bytes, and waits until the client has stored them in its file: however slow it is. */
export async function sendInto(file: () => string | Promise<string>, response: ServerResponse, bytes: Buffer) {
  response.write(bytes);
  const stored = async () => (await stat(await file()).catch(() => ({ size: 0 }))).size;
  while (!response.destroyed && (await stored()) < bytes.length) await sleep(5);
}

/** Answers with a file as a well-behaved server does: ETag, ranges, If-Range. */
export function serveBytes(request: IncomingMessage, response: ServerResponse, content: Buffer, etag = '"v1"'): void {
  const headers = { etag, 'accept-ranges': 'bytes' };
  const start = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  const condition = request.headers['if-range'];
  if (start === undefined || (condition !== undefined && condition !== etag)) {
    response.writeHead(200, { ...headers, 'content-length': content.length });
    response.end(request.method === 'HEAD' ? undefined : content);
    return;
  }
  if (Number(start) >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const rest = content.subarray(Number(start));
  response.writeHead(206, {
    ...headers,
    'content-length': rest.length,
    'content-range': `bytes ${start}-${content.length - 1}/${content.length}`,
  });
  response.end(rest);
}
