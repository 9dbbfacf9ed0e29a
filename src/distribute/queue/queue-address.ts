import { HIDDEN, keepSecret, UsageError } from '../../system/index.ts';

/** A queue as users name it, and what may be shown of it. */
export interface QueueAddress {
  /** With its user and password. */
  url: string;
  /** Without them. */
  shown: string;
  /** Whether the server is PostgreSQL, and not Redis. */
  isPostgres: boolean;
}

/** Parses the address of a Redis or PostgreSQL server. Its password is neither shown nor stored. @throws UsageError */
export function parseQueueAddress(text: string): QueueAddress {
  const typed = text.trim();
  if (!/^(rediss?|postgres(ql)?):\/\/[^/]/i.test(typed) || !URL.canParse(typed)) {
    throw new UsageError('the queue is not an address of Redis or PostgreSQL', {
      fix: 'Write redis://HOST:PORT, with a password redis://:PASSWORD@HOST:PORT, with TLS rediss://..., with another database redis://HOST:PORT/2; or postgres://USER:PASSWORD@HOST:PORT/DATABASE.',
    });
  }
  const url = new URL(typed);
  const secret = decodeURIComponent(url.password);
  if (secret !== '') keepSecret(secret);
  const user = url.username === '' && secret === '' ? '' : `${HIDDEN}@`;
  const isPostgres = url.protocol.startsWith('postgres');
  return { url: typed, isPostgres, shown: `${url.protocol}//${user}${url.host}${url.pathname.replace(/^\/$/, '')}` };
}
