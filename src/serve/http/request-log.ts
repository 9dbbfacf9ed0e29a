import type { Writable } from 'node:stream';
import type { RequestRecord } from './request-record.ts';

export const LOG_FORMATS = ['json', 'text', 'none'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export interface RequestLogOptions {
  format: LogFormat;
  /** Whether queries and their expansions are logged. Default false. */
  texts?: boolean | undefined;
  stream: Writable;
}

/** A request that has been answered. */
export interface LoggedRequest {
  id: string;
  method: string;
  /** As it is registered, not as the client wrote it. */
  route: string;
  status: number;
  milliseconds: number;
  /** Why it was not answered, without quoted texts. */
  error?: string | undefined;
  record: RequestRecord;
}

/** A reader that does not read must not fill the memory: beyond this, lines are dropped, and counted. */
const MOST_BUFFERED_BYTES = 2 ** 20;

/** Writes one line for each request. */
export class RequestLog {
  readonly #options: RequestLogOptions;
  /** Lines that were dropped because nobody read them, or that could not be written. */
  dropped = 0;

  constructor(options: RequestLogOptions) {
    this.#options = options;
  }

  write(request: LoggedRequest): void {
    const { format, texts = false, stream } = this.#options;
    if (format === 'none') return;
    if (stream.writableLength > MOST_BUFFERED_BYTES || !stream.writable) {
      this.dropped++;
      return;
    }
    const entry = entryOf(request, texts);
    stream.write(`${format === 'json' ? JSON.stringify(entry) : lineOf(entry)}\n`, (error) => {
      if (error) this.dropped++;
    });
  }
}

function entryOf({ id, method, route, status, milliseconds, error, record }: LoggedRequest, texts: boolean) {
  const { parts, states, reasons, writtenTokens, encodedTokens, expansions } = record;
  const rounded = Object.entries(parts).map(([part, time]) => [part, round(time)] as const);
  return {
    time: new Date().toISOString(),
    level: status >= 500 ? 'error' : status >= 400 ? 'warn' : 'info',
    ...{ id, method, route, status, milliseconds: round(milliseconds) },
    ...(rounded.length > 0 && { parts: Object.fromEntries(rounded) }),
    ...(expansions.length > 0 && { expansion: states.join(', '), queries: expansions.length, tokens: writtenTokens }),
    ...(reasons.length > 0 && { reason: reasons.join(', ') }),
    ...(encodedTokens !== undefined && { encodedTokens }),
    ...(error !== undefined && { error }),
    ...(texts && record.texts.length > 0 && { texts: record.texts }),
  };
}

function lineOf({ time, level, id, method, route, status, milliseconds, ...rest }: ReturnType<typeof entryOf>): string {
  const told = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return [time, level, method, route, status, `${milliseconds} ms`, ...told, `id=${id}`].join(' ');
}

function round(milliseconds: number): number {
  return Math.round(10 * milliseconds) / 10;
}
