import { TextDecoder } from 'node:util';
import type { MiddlewareHandler } from 'hono';
import { RequestError } from '../request-error.ts';

/**
 * Refuses bodies that are too large: by their length before they are read, and those that come in chunks as soon as they are.
 * (Hono's own middleware builds a new `Request` of the adaptor's, which Node's does not accept.)
 */
export function limitBody(maxSize: number): MiddlewareHandler {
  const tooLarge = new RequestError(413, `the body is larger than ${maxSize} bytes`, {
    fix: 'Send less per request.',
  });
  return async (context, next) => {
    const { raw } = context.req;
    const length = context.req.header('content-length');
    if (length !== undefined) {
      if (Number(length) > maxSize) throw tooLarge;
    } else if (raw.body !== null) {
      const body = await readAtMost(raw.body, maxSize).catch((cause: unknown) => {
        throw new RequestError(400, 'the body breaks off', { fix: 'Send it whole.', cause });
      });
      if (body === undefined) throw tooLarge;
      const { method, url, headers, signal } = raw;
      context.req.raw = new Request(url, { method, headers, signal, body });
    }
    await next();
  };
}

/** @returns undefined if there is more */
async function readAtMost(stream: ReadableStream<Uint8Array>, maxSize: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > maxSize) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Refuses a body that is not UTF-8: what cannot be read would be replaced by U+FFFD, and the vector be that of another text.
 * @param isOwn whether this application reads the body of a path
 */
export function refuseOtherEncodings(isOwn: (path: string) => boolean): MiddlewareHandler {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  return async ({ req }, next) => {
    // Asking whether there is a body would cost more than to read it: the adaptor would build a whole `Request`.
    if (req.method === 'POST' && isOwn(req.path)) {
      const body = await req.arrayBuffer().catch((cause: unknown) => {
        throw new RequestError(400, 'the body breaks off', { fix: 'Send it whole.', cause });
      });
      // Whoever reads it next gets this; Hono keeps promises here.
      Object.assign(req.bodyCache, { text: Promise.resolve(decoded(decoder, body)) });
    }
    await next();
  };
}

/** @throws RequestError */
function decoded(decoder: TextDecoder, body: ArrayBuffer): string {
  try {
    return decoder.decode(body);
  } catch (cause) {
    throw new RequestError(400, 'the body is not UTF-8', { fix: 'Send JSON, which is always UTF-8.', cause });
  }
}
