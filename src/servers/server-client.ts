import {
  AbortedError,
  ConnectionError,
  checkHeader,
  checkSecret,
  chooseSetting,
  ENVIRONMENT_VARIABLES,
  isAbort,
  NetworkError,
  readBeginning,
  redactData,
  request,
  retryAfterSeconds,
  TimeoutError,
  UsageError,
} from '../system/index.ts';
import type { ServerAddress } from './address.ts';
import { oneLine, readComplaint, withUsualKeys } from './answer-words.ts';
import { GrowingAnswer, isEventStream, readEventStream, readEvents } from './event-stream.ts';
import { ServerFault } from './server-fault.ts';

export interface ClientOptions {
  /** Default: OPENAI_API_KEY. */
  apiKey?: string | undefined;
  /** Time limit for one call, from the request to the answer's last byte. */
  timeoutSeconds: number;
  /** Size limit for an answer. Default 64 MiB. */
  maxBytes?: number | undefined;
}

/** Maximum number of bytes read from an error page. */
const LARGEST_ERROR = 64 * 1024;

interface Exchange<T> {
  body?: string;
  read(answer: unknown): T;
  /** Receives the texts so far of an answer that is streamed, whenever they have grown. */
  onTexts?: ((texts: string[]) => void) | undefined;
}

/** A JSON client for one OpenAI-compatible server. */
export class ServerClient {
  readonly #address: ServerAddress;
  readonly #headers: Record<string, string>;
  readonly #options: ClientOptions;

  /** @throws UsageError if the key cannot be sent */
  constructor(address: ServerAddress, options: ClientOptions) {
    this.#address = address;
    this.#options = options;
    const authorization = address.authorization ?? bearer(options.apiKey);
    this.#headers = {
      accept: 'application/json',
      'user-agent': 'llm-qe',
      ...(authorization !== undefined && { authorization }),
      ...accountHeaders(),
    };
  }

  /** @throws ServerFault, AbortedError */
  get(path: string, stop: AbortSignal | undefined): Promise<unknown> {
    return this.#exchange(path, { stop, read: (answer) => answer });
  }

  /**
   * @param read reads the answer; the fault that it throws gets the wait that the answer's headers request
   * @param onTexts receives the texts so far of an answer that is streamed, whenever they have grown
   * @throws ServerFault, AbortedError
   */
  post<T>(
    path: string,
    body: Readonly<Record<string, unknown>>,
    stop: AbortSignal | undefined,
    read: (answer: unknown) => T,
    onTexts?: (texts: string[]) => void,
  ): Promise<T> {
    return this.#exchange(path, { body: JSON.stringify(body), stop, read, onTexts });
  }

  async #exchange<T>(path: string, { stop, ...exchange }: Exchange<T> & { stop: AbortSignal | undefined }): Promise<T> {
    // Each call has its own signal: listeners on a signal that lives as long as the run would accumulate.
    const own = new AbortController();
    const onStop = () => own.abort();
    stop?.addEventListener('abort', onStop, { once: true });
    if (stop?.aborted) onStop();
    try {
      return await this.#ask(path, exchange, own.signal);
    } catch (error) {
      if (stop?.aborted || isAbort(error)) throw new AbortedError();
      throw asFault(error);
    } finally {
      stop?.removeEventListener('abort', onStop);
    }
  }

  async #ask<T>(path: string, { body, read, onTexts }: Exchange<T>, signal: AbortSignal): Promise<T> {
    const { timeoutSeconds } = this.#options;
    const url = this.#address.at(path);
    const startedAt = performance.now();
    const response = await request(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...this.#headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      body,
      signal,
      connectTimeoutSeconds: timeoutSeconds,
    });
    const seconds = Math.max(0.001, timeoutSeconds - (performance.now() - startedAt) / 1000);
    if (!response.ok) {
      // The status is known, so an error page that breaks off changes nothing.
      const limits = { maxBytes: LARGEST_ERROR, seconds: Math.min(10, seconds), signal };
      const page = await readBeginning(response, url, limits).catch((error: unknown) => {
        if (isAbort(error)) throw error;
        return { text: '' };
      });
      throw refusal(response, page.text);
    }
    const { maxBytes } = this.#options;
    const onChunk = onTexts && isStreamed(response) ? growing(onTexts) : undefined;
    const { text, whole } = await readBeginning(response, url, { maxBytes, seconds, signal, onChunk });
    if (!whole) throw new ServerFault('foreign', 'sent more bytes than any answer needs', { status: response.status });
    try {
      return read(parseAnswer(redactData(text), response));
    } catch (error) {
      if (error instanceof ServerFault) error.retryAfterSeconds ??= retryAfterSeconds(response.headers);
      throw error;
    }
  }
}

function isStreamed({ headers }: Response): boolean {
  return /text\/event-stream/i.test(headers.get('content-type') ?? '');
}

/** Follows a stream. A damaged event is left to the reader of the whole answer. */
function growing(onTexts: (texts: string[]) => void): (bytes: Uint8Array) => void {
  const answer = new GrowingAnswer();
  let isSound = true;
  return (bytes) => {
    try {
      const texts = isSound ? answer.push(bytes) : undefined;
      if (texts !== undefined) onTexts(texts);
    } catch {
      isSound = false;
    }
  };
}

function refusal(response: Response, page: string): ServerFault {
  return new ServerFault('refused', `status ${response.status}`, {
    status: response.status,
    body: withUsualKeys(parseLeniently(page) ?? linesOfJson(page)?.[0] ?? page),
    retryAfterSeconds: retryAfterSeconds(response.headers),
  });
}

/** @throws ServerFault if the text is not JSON */
function parseAnswer(text: string, { status, headers }: Response): unknown {
  const trimmed = text.trim();
  if (trimmed === '') throw new ServerFault('cut', 'sent an empty answer', { status });
  if (isEventStream(trimmed)) return readEventStream(trimmed);
  const parsed = parseLeniently(trimmed);
  if (parsed !== undefined) return withUsualKeys(parsed);
  const lines = linesOfJson(trimmed);
  if (lines !== undefined) return readEvents(lines);
  const meantAsJson = /^[{[]/.test(trimmed) || /json/.test(headers.get('content-type') ?? '');
  if (meantAsJson) throw new ServerFault('cut', 'sent JSON that breaks off, or is damaged', { status });
  const { words } = readComplaint(trimmed);
  throw new ServerFault('foreign', `answered something that is not JSON: ${oneLine(words, 120)}`, { status });
}

/** Returns the values of a text that is one JSON object per line; undefined for any other text. */
function linesOfJson(text: string): unknown[] | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length < 2 || !lines.every((line) => /^\s*\{.*\}\s*$/.test(line))) return undefined;
  const values = lines.map(parseLeniently);
  return values.includes(undefined) ? undefined : values;
}

/**
 * Parses JSON, with null in place of NaN and Infinity, which Python's JSON writes but JSON lacks. Undefined if the text is not JSON
 * at all.
 */
function parseLeniently(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    if (!/\b(NaN|Infinity)\b/.test(text)) return undefined;
  }
  try {
    return JSON.parse(
      text.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (one) => (one[0] === '"' ? one : 'null')),
    );
  } catch {
    return undefined;
  }
}

function asFault(error: unknown): unknown {
  if (error instanceof ServerFault || error instanceof UsageError) return error;
  if (error instanceof TimeoutError) return new ServerFault('late', error.message, { cause: error });
  if (error instanceof ConnectionError) {
    const isCut = /terminated|other side closed|UND_ERR_(SOCKET|RES_CONTENT_LENGTH)|aborted|\(Z_/i.test(error.message);
    const reason = isCut ? 'broke off in the middle of its answer' : error.message;
    return new ServerFault(isCut ? 'cut' : 'unreachable', reason, { cause: error });
  }
  return error instanceof NetworkError ? new ServerFault('unreachable', error.message, { cause: error }) : error;
}

function bearer(given: string | undefined): string | undefined {
  const [variable] = ENVIRONMENT_VARIABLES.serverKey;
  const key = checkSecret(chooseSetting(given, 'serverKey'), given === undefined ? variable : 'the API key');
  return key === undefined ? undefined : `Bearer ${key}`;
}

/** The headers that OpenAI's own clients send if the environment names an account. */
function accountHeaders(): Record<string, string> {
  const headerOf = (setting: 'serverOrganization' | 'serverProject') =>
    checkHeader(chooseSetting(undefined, setting), ENVIRONMENT_VARIABLES[setting][0]);
  const [organization, project] = [headerOf('serverOrganization'), headerOf('serverProject')];
  return {
    ...(organization !== undefined && { 'openai-organization': organization }),
    ...(project !== undefined && { 'openai-project': project }),
  };
}
