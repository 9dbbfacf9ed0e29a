import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { AbortedError, DataError, systemFault } from './errors.ts';
import { makeFolder, syncFolder } from './folders.ts';
import { address, ConnectionError, connectionFault, httpError, request, withRetries } from './http.ts';
import { type Progress, type ProgressTask, SILENT } from './progress.ts';

export interface DownloadOptions {
  /** What the file must hash to, in lower-case hexadecimal. */
  sha256?: string | undefined;
  /** The exact size the file must have. */
  bytes?: number | undefined;
  /** Sent to the first host; credentials among them are never sent to another one after a redirect. */
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  label?: string | undefined;
  /** Limit on the time until a server answers. Default 10. */
  connectTimeoutSeconds?: number | undefined;
  /** Limit on the time for the next 16 KiB, or for the rest if that is less. Default 60. */
  stallTimeoutSeconds?: number | undefined;
  /** Attempts after the first that bring nothing new. Default 5. */
  retries?: number | undefined;
  /** Wait before the second attempt; it doubles each time. Default 1. */
  firstWaitSeconds?: number | undefined;
}

/**
 * Fetches a file. Bytes go to `TARGET.part`, which the next call continues by a ranged request (a small neighbour,
 * `TARGET.part.json`, remembers the ETag and the length, so that two versions are never mixed); a server that ignores
 * ranges starts it anew. When size and hash are right the file is flushed to the disk and takes its name.
 * Two processes must not fetch to one target at a time; callers that allow it hold a {@link withFileLock}.
 * @throws HttpError when the server refuses, ConnectionError when it cannot be reached or keeps breaking off
 * @throws DataError when size or hash are not the expected ones (`.part` is removed)
 * @throws ResourceError when the disk is full; AbortedError (`.part` is kept)
 */
export async function download(
  url: string,
  target: string,
  options: DownloadOptions = {},
): Promise<{ bytes: number; sha256: string }> {
  const transfer = new Transfer(url, target, options);
  try {
    await makeFolder(dirname(target));
    const { retries, firstWaitSeconds, signal } = options;
    await withRetries(() => transfer.attempt(), {
      retries,
      firstWaitSeconds,
      signal,
      hasMovedOn: () => transfer.hasMovedOn(),
      onWait: (seconds, error) => transfer.note(`${error.message}; again in ${Math.ceil(seconds)} s`),
    });
    return await transfer.finish();
  } catch (error) {
    throw systemFault(error, target);
  } finally {
    transfer.close();
  }
}

/** A server that sends less in the time of a stall holds the line rather than sends. */
const LEAST_PROGRESS = 16 * 1024;

/** Most that is taken of a file whose size nobody states. */
const LARGEST_UNSTATED = 32 * 2 ** 30;

/** What tells one version of a remote file from another. */
const sidecarSchema = z.object({
  etag: z.string().optional(),
  modified: z.string().optional(),
  total: z.number().int().nonnegative().optional(),
});
type Version = z.infer<typeof sidecarSchema>;

class Transfer {
  readonly #url: string;
  readonly #target: string;
  readonly #part: string;
  readonly #sidecar: string;
  readonly #options: DownloadOptions;
  #hash: Hash = createHash('sha256');
  /** Bytes in `.part`, all of them hashed. */
  #size = 0;
  #furthest = 0;
  #movedOn = false;
  #task: ProgressTask | undefined;

  constructor(url: string, target: string, options: DownloadOptions) {
    this.#url = url;
    this.#target = target;
    this.#part = `${target}.part`;
    this.#sidecar = `${target}.part.json`;
    this.#options = options;
  }

  /** Whether the last attempt got further than all before it. */
  hasMovedOn(): boolean {
    return this.#movedOn;
  }

  note(text: string): void {
    this.#task?.note(text);
  }

  close(): void {
    this.#task?.done();
  }

  /** One request, from where `.part` ends to the end of the file. */
  async attempt(): Promise<void> {
    this.#movedOn = false;
    const known = await this.#loadPart();
    if (this.#size > 0 && this.#size === known?.total && this.#size === (this.#options.bytes ?? this.#size)) return;
    const range: Record<string, string> = this.#size === 0 ? {} : { range: `bytes=${this.#size}-` };
    if (this.#size > 0 && known?.etag !== undefined && !known.etag.startsWith('W/')) range['if-range'] = known.etag;
    const stall = new AbortController();
    const { signal, connectTimeoutSeconds } = this.#options;
    const response = await request(this.#url, {
      // A compressed answer would be measured and resumed in other bytes than the file's.
      headers: { ...this.#options.headers, ...range, 'accept-encoding': 'identity' },
      signal: signal === undefined ? stall.signal : AbortSignal.any([signal, stall.signal]),
      connectTimeoutSeconds,
    });
    if (await this.#isAcceptable(response, known)) return await this.#receive(response, stall);
    await response.body?.cancel();
    await this.#forget();
    return await this.attempt();
  }

  /** Takes `.part` up again where that is safe, and drops it where it is not. */
  async #loadPart(): Promise<Version | undefined> {
    const size = await stat(this.#part).then(
      (found) => found.size,
      () => 0,
    );
    const known = await readVersion(this.#sidecar);
    const recognisable = known?.etag !== undefined || known?.modified !== undefined;
    if (size > 0 && !recognisable && this.#options.sha256 === undefined) {
      await this.#forget();
      return undefined;
    }
    if (size === this.#size) return known;
    this.#hash = createHash('sha256');
    this.#size = 0;
    if (size === 0) return undefined;
    for await (const chunk of createReadStream(this.#part, { highWaterMark: 1 << 20 })) this.#hash.update(chunk);
    this.#size = size;
    return known;
  }

  async #forget(): Promise<void> {
    await rm(this.#part, { force: true });
    await rm(this.#sidecar, { force: true });
    this.#hash = createHash('sha256');
    this.#size = 0;
  }

  /** False where `.part` does not belong to the server's version and must be fetched anew. */
  async #isAcceptable(response: Response, known: Version | undefined): Promise<boolean> {
    if (this.#size > 0 && response.status === 416) return false;
    if (response.status === 206 && this.#size > 0) {
      const version = versionOf(response);
      return rangeStart(response) === this.#size && isSameVersion(known, version);
    }
    if (response.status === 200) {
      if (this.#size > 0) await this.#forget();
      return true;
    }
    await response.body?.cancel();
    throw httpError(this.#url, response);
  }

  async #receive(response: Response, stall: AbortController): Promise<void> {
    const version = versionOf(response);
    const expected = await this.#expectedTotal(version);
    await writeFile(this.#sidecar, JSON.stringify(version));
    this.#task ??= (this.#options.progress ?? SILENT).task(
      this.#options.label ?? `downloading ${basename(this.#target)}`,
      expected,
      'bytes',
    );
    this.#skipTo(this.#size);
    const file = await open(this.#part, 'a');
    try {
      await this.#pour(response, file, stall, expected);
      await file.sync();
    } finally {
      await file.close();
    }
    if (expected !== undefined && this.#size < expected) {
      throw new ConnectionError(`${address(this.#url)} broke off after ${this.#size} of ${expected} bytes`, AGAIN);
    }
  }

  async #expectedTotal({ total }: Version): Promise<number | undefined> {
    const { bytes } = this.#options;
    if (bytes === undefined || total === undefined || bytes === total) return bytes ?? total;
    await this.#forget();
    throw new DataError(`${address(this.#url)} holds ${total} bytes, and ${bytes} were expected`, {
      file: this.#target,
      fix: OTHER_BYTES,
    });
  }

  async #pour(response: Response, file: FileHandle, stall: AbortController, expected?: number): Promise<void> {
    if (response.body === null) return;
    const seconds = this.#options.stallTimeoutSeconds ?? 60;
    const timer = setTimeout(() => stall.abort(), seconds * 1000);
    const chunks: AsyncIterator<Uint8Array> = response.body[Symbol.asyncIterator]();
    let counted = this.#size;
    try {
      for (;;) {
        const next = await chunks.next().catch((error: unknown) => {
          throw this.#bodyFault(error, stall, seconds);
        });
        if (next.done) return;
        await this.#store(next.value, file, expected);
        if (this.#size - counted < LEAST_PROGRESS) continue;
        counted = this.#size;
        timer.refresh();
      }
    } finally {
      clearTimeout(timer);
      stall.abort();
    }
  }

  async #store(chunk: Uint8Array, file: FileHandle, expected = LARGEST_UNSTATED): Promise<void> {
    if (this.#size + chunk.length > expected) {
      await this.#forget();
      throw new DataError(`${address(this.#url)} sent more than the ${expected} bytes that were expected`, {
        file: this.#target,
        fix: OTHER_BYTES,
      });
    }
    await file.writeFile(chunk);
    this.#hash.update(chunk);
    this.#size += chunk.length;
    this.#reportUpTo(this.#size);
  }

  /** What an earlier transfer fetched says nothing of the speed of this one. */
  #skipTo(size: number): void {
    if (size <= this.#furthest) return;
    this.#task?.skip(size - this.#furthest);
    this.#furthest = size;
  }

  /** Progress never runs backwards, even where the server makes us start anew. */
  #reportUpTo(size: number): void {
    if (size <= this.#furthest) return;
    this.#task?.advance(size - this.#furthest);
    this.#furthest = size;
    this.#movedOn = true;
  }

  #bodyFault(error: unknown, stall: AbortController, seconds: number): Error {
    if (this.#options.signal?.aborted) return new AbortedError('stopped', { file: this.#target, cause: error });
    if (stall.signal.aborted) {
      // The few bytes that came are no progress: such a server would be asked for ever.
      this.#movedOn = false;
      return new ConnectionError(`${address(this.#url)} sent next to nothing for ${seconds} s`, AGAIN);
    }
    return connectionFault(error, this.#url);
  }

  /** Checks the hash and gives the file its name. */
  async finish(): Promise<{ bytes: number; sha256: string }> {
    const sha256 = this.#hash.digest('hex');
    const expected = this.#options.sha256?.toLowerCase();
    if (expected !== undefined && sha256 !== expected) {
      await this.#forget();
      throw new DataError(`${address(this.#url)} has SHA-256 ${sha256}, and ${expected} was expected`, {
        file: this.#target,
        fix: OTHER_BYTES,
      });
    }
    await rename(this.#part, this.#target);
    await rm(this.#sidecar, { force: true });
    await syncFolder(dirname(this.#target));
    return { bytes: this.#size, sha256 };
  }
}

const AGAIN = { fix: 'Run the same command again: what has arrived is kept.' };
const OTHER_BYTES =
  'Nothing of it was kept. Run the same command again in case the transfer was damaged; if it happens again, the file at the source has changed and another source is needed.';

async function readVersion(sidecar: string): Promise<Version | undefined> {
  try {
    return sidecarSchema.parse(JSON.parse(await readFile(sidecar, 'utf8')));
  } catch {
    return undefined;
  }
}

function versionOf(response: Response): Version {
  const encoded = (response.headers.get('content-encoding') ?? 'identity') !== 'identity';
  const length = response.headers.get('content-length');
  const total =
    response.status === 206
      ? /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
      : encoded
        ? undefined
        : (length ?? undefined);
  const etag = response.headers.get('etag');
  const modified = response.headers.get('last-modified');
  return {
    ...(etag !== null && !encoded && { etag }),
    ...(modified !== null && !encoded && { modified }),
    ...(total !== undefined && { total: Number(total) }),
  };
}

function rangeStart(response: Response): number | undefined {
  const start = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
  return start === undefined ? undefined : Number(start);
}

/** Whether nothing that both sides know differs. */
function isSameVersion(a: Version | undefined, b: Version): boolean {
  const differs = (key: keyof Version) => a?.[key] !== undefined && b[key] !== undefined && a[key] !== b[key];
  return !differs('etag') && !differs('modified') && !differs('total');
}
