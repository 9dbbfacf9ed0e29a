import { z } from 'zod';
import { HIDDEN, isSecretParameter, takeCredentials, UsageError } from '../system/index.ts';

/** Where an OpenAI-compatible API begins. */
export interface ServerAddress {
  /** As it may be shown and stored: what is secret in it reads `***`. */
  readonly shown: string;
  readonly hostname: string;
  /** The header that `user:password@` stands for. */
  readonly authorization: string | undefined;
  /** The address of a path below it (`/chat/completions`); a query (`?api-version=...`) stays behind the path. */
  at(path: string): string;
}

/** Secrets of this process's addresses: what is shown, and what was typed. */
const typedAs = new Map<string, string>();

/** What people copy along with an address from a line that calls it. */
const ENDPOINT = /\/(chat\/completions|completions|embeddings|models)$/;

const EXAMPLE = 'Write it as http://HOST:PORT/v1 or https://HOST/v1.';

/** Whether a name (of a generator, an encoder) is meant as the address of a server rather than as a model or a file. */
export function isServerAddress(name: string): boolean {
  return /^\s*(?!hf:)[a-z][a-z0-9+.-]*:\/\//i.test(name) || withoutScheme(name);
}

/** `localhost:8000`, `10.0.0.7:8000/v1`, `gpu.example.org:8000`: no model or file is called so. */
function withoutScheme(name: string): boolean {
  return /^\s*(localhost|[\w-]+(\.[\w-]+)+|\[[0-9a-f:.]+\]):\d{1,5}(\/|\s*$)/i.test(name);
}

/**
 * Reads the address of a server. `/v1` is added to one without a path; slashes and an endpoint at its end are taken off; scheme and host
 * may be in capitals, and blanks may stand around it. `user:password@` becomes a header, and is neither shown nor stored.
 * @throws UsageError
 */
export function parseServerAddress(address: string): ServerAddress {
  const typed = restoreSecrets(address.trim());
  const url = parse(typed, address);
  const secret = url.username !== '' || url.password !== '';
  const authorization = takeCredentials(url);
  const path = url.pathname.replace(/\/+$/, '').replace(ENDPOINT, '') || '/v1';
  const shown = `${url.protocol}//${secret ? `${HIDDEN}@` : ''}${url.host}${path}${shownQuery(url)}`;
  if (shown.includes(HIDDEN)) typedAs.set(shown, typed);
  return {
    shown,
    hostname: url.hostname,
    authorization,
    at: (below) => `${url.origin}${path}${below}${url.search}`,
  };
}

/** The address of a server in settings: with `***` in place of what is secret, which {@link parseServerAddress} knows to fill in again. */
export const serverAddressSchema = z.string().transform(showServer);

/** The same for settings that name a server, or something else. */
export const serverOrNameSchema = z
  .string()
  .transform((name, context) => (isServerAddress(name) ? showServer(name, context) : name));

function showServer(address: string, context: z.RefinementCtx): string {
  try {
    return parseServerAddress(address).shown;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    context.addIssue({ code: 'custom', message: `${error.message}. ${error.fix}` });
    return z.NEVER;
  }
}

function restoreSecrets(address: string): string {
  if (!address.includes(HIDDEN)) return address;
  const typed = typedAs.get(address);
  if (typed !== undefined) return typed;
  throw new UsageError(`${address} has ${HIDDEN} in place of a secret`, {
    fix: 'Give the address with its password or key: neither is ever stored.',
  });
}

function parse(typed: string, address: string): URL {
  if (/^[\w.-]+:\d+(\/|$)/.test(typed) || withoutScheme(typed))
    throw wrong(address, `lacks http:// or https://`, `Write http://${typed}.`);
  const url = URL.canParse(typed) && !/\s/.test(typed) ? new URL(typed) : undefined;
  if (url !== undefined && /^[a-z][a-z0-9+.-]*:\/\//i.test(typed) && !/^https?:$/.test(url.protocol)) {
    throw wrong(address, `begins with ${url.protocol}//, and servers are asked over http:// or https://`);
  }
  if (url === undefined || !/^https?:\/\//i.test(typed)) throw wrong(address, 'is not the address of a server');
  return url;
}

function wrong(address: string, reason: string, fix = EXAMPLE): UsageError {
  return new UsageError(`${JSON.stringify(address)} ${reason}`, { fix });
}

function shownQuery({ search, searchParams }: URL): string {
  if (![...searchParams.keys()].some(isSecretParameter)) return search;
  const pairs = [...searchParams].map(([name, value]) =>
    isSecretParameter(name) ? `${name}=${HIDDEN}` : new URLSearchParams([[name, value]]).toString(),
  );
  return `?${pairs.join('&')}`;
}
