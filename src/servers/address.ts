import { z } from 'zod';
import { HIDDEN, isSecretParameter, takeCredentials, UsageError } from '../system/index.ts';

/** The base address of an OpenAI-compatible API. */
export interface ServerAddress {
  /** The form that may be shown and stored, with `***` in place of secrets. */
  readonly shown: string;
  readonly hostname: string;
  /** The header for `user:password@`. */
  readonly authorization: string | undefined;
  /** Returns the address of a path below it (`/chat/completions`). A query string (`?api-version=...`) stays after the path. */
  at(path: string): string;
}

/** The addresses with secrets that this process has read, from the shown form to the typed form. */
const typedAs = new Map<string, string>();

/** Endpoints that users copy along with an address. */
const ENDPOINT = /\/(chat\/completions|completions|embeddings|models)$/;

const EXAMPLE = 'Write it as http://HOST:PORT/v1 or https://HOST/v1.';

/** Returns whether a name (of a generator or an encoder) is the address of a server rather than a model or a file. */
export function isServerAddress(name: string): boolean {
  return /^\s*(?!hf:)[a-z][a-z0-9+.-]*:\/\//i.test(name) || withoutScheme(name);
}

/** `localhost:8000`, `10.0.0.7:8000/v1`, `gpu.example.org:8000`: no model or file has such a name. */
function withoutScheme(name: string): boolean {
  return /^\s*(localhost|[\w-]+(\.[\w-]+)+|\[[0-9a-f:.]+\]):\d{1,5}(\/|\s*$)/i.test(name);
}

/**
 * Parses the address of a server. Adds `/v1` if there is no path. Accepts trailing slashes, an endpoint at the end, capitals in
 * scheme and host, and blanks around the address. `user:password@` becomes a header and is neither shown nor stored.
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

/**
 * The address of a server in settings, with `***` in place of secrets. {@link parseServerAddress} restores those that it has read
 * in this process.
 */
export const serverAddressSchema = z.string().transform(showServer);

/** The same for settings that name either a server or something else. */
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
    fix: 'Write the address with its password or key. Neither is ever stored.',
  });
}

function parse(typed: string, address: string): URL {
  if (/^[\w.-]+:\d+(\/|$)/.test(typed) || withoutScheme(typed))
    throw wrong(address, `lacks http:// or https://`, `Write http://${typed}.`);
  const url = URL.canParse(typed) && !/\s/.test(typed) ? new URL(typed) : undefined;
  if (url !== undefined && /^[a-z][a-z0-9+.-]*:\/\//i.test(typed) && !/^https?:$/.test(url.protocol)) {
    throw wrong(address, `begins with ${url.protocol}//, but servers are called over http:// or https://`);
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
