import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { makeFolder, syncFolder } from '../disk/folders.ts';
import { AbortedError, DataError, systemFault } from '../errors.ts';
import { type Progress, type ProgressTask, SILENT } from '../progress.ts';
import { address, ConnectionError, connectionFault, httpError, request, timerOf, withRetries } from './http.ts';

export interface DownloadOptions {
  /** Expected SHA-256 of the file, in lower-case hexadecimal. */
  sha256?: string | undefined;
  /** Expected size of the file. */
  bytes?: number | undefined;
  /** Headers for the first host. Credentials among them are never sent to another host after a redirect. */
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
  label?: string | undefined;
  /** Time limit until a server answers. Default 10. */
  connectTimeoutSeconds?: number | undefined;
  /** Time limit for the next 16 KiB, or for the rest if that is less. Default 60. */
  stallTimeoutSeconds?: number | undefined;
  /** Number of retries without progress. Default 5. */
  retries?: number | undefined;
  /** Wait before the second attempt. It doubles each time. Default 1. */
  firstWaitSeconds?: number | undefined;
}

/**
 * Downloads a file. Bytes go to `TARGET.part`, and the next call resumes from there with a range request. `TARGET.part.json`
 * records the ETag and the length, so that two versions are never mixed. If a server ignores ranges, the download starts again.
 * When size and hash are right, the file is flushed to disk and renamed. Two processes must not download to one target at the same
 * time: hold a {@link withFileLock} where that is possible.
 * @throws HttpError if the server refuses; ConnectionError if it cannot be reached or keeps breaking off
 * @throws DataError if size or hash are wrong (`.part` is removed)
 * @throws ResourceError if the disk is full; AbortedError (`.part` is kept)
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

/** A server that sends less than this within the stall timeout counts as stalled. */
const LEAST_PROGRESS = 16 * 1024;

/** Maximum size of a file whose size the server does not state. */
const LARGEST_UNSTATED = 32 * 2 ** 30;

/** Identifies one version of a remote file. */
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
  /** Bytes in `.part`, all of them included in the hash. */
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

  /** Returns whether the last attempt got further than all attempts before. */
  hasMovedOn(): boolean {
    return this.#movedOn;
  }

  note(text: string): void {
    this.#task?.note(text);
  }

  close(): void {
    this.#task?.done();
  }

  /** Makes one request, from the end of `.part` to the end of the file. */
  async attempt(): Promise<void> {
    this.#movedOn = false;
    const known = await this.#loadPart();
    if (this.#size > 0 && this.#size === known?.total && this.#size === (this.#options.bytes ?? this.#size)) return;
    const range: Record<string, string> = this.#size === 0 ? {} : { range: `bytes=${this.#size}-` };
    if (this.#size > 0 && known?.etag !== undefined && !known.etag.startsWith('W/')) range['if-range'] = known.etag;
    const stall = new AbortController();
    const { signal, connectTimeoutSeconds } = this.#options;
    const response = await request(this.#url, {
      // Size and position of a compressed answer would not be those of the file.
      headers: { ...this.#options.headers, ...range, 'accept-encoding': 'identity' },
      signal: signal === undefined ? stall.signal : AbortSignal.any([signal, stall.signal]),
      connectTimeoutSeconds,
    });
    if (await this.#isAcceptable(response, known)) return await this.#receive(response, stall);
    await response.body?.cancel();
    await this.#forget();
    return await this.attempt();
  }

  /** Continues `.part` if that is safe, and discards it otherwise. */
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

  /** Returns false if `.part` belongs to another version than the server's and must be downloaded again. */
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
    throw new DataError(`${address(this.#url)} holds ${total} bytes, but ${bytes} were expected`, {
      file: this.#target,
      fix: OTHER_BYTES,
    });
  }

  async #pour(response: Response, file: FileHandle, stall: AbortController, expected?: number): Promise<void> {
    if (response.body === null) return;
    const seconds = this.#options.stallTimeoutSeconds ?? 60;
    const timer = setTimeout(() => stall.abort(), timerOf(seconds));
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
      throw new DataError(`${address(this.#url)} sent more than the expected ${expected} bytes`, {
        file: this.#target,
        fix: OTHER_BYTES,
      });
    }
    await file.writeFile(chunk);
    this.#hash.update(chunk);
    this.#size += chunk.length;
    this.#reportUpTo(this.#size);
  }

  /** Bytes of an earlier transfer do not count for the speed of this one. */
  #skipTo(size: number): void {
    if (size <= this.#furthest) return;
    this.#task?.skip(size - this.#furthest);
    this.#furthest = size;
  }

  /** Progress never runs backwards, even if the server makes the download start again. */
  #reportUpTo(size: number): void {
    if (size <= this.#furthest) return;
    this.#task?.advance(size - this.#furthest);
    this.#furthest = size;
    this.#movedOn = true;
  }

  #bodyFault(error: unknown, stall: AbortController, seconds: number): Error {
    if (this.#options.signal?.aborted) return new AbortedError('stopped', { file: this.#target, cause: error });
    if (stall.signal.aborted) {
      // The few bytes that came do not count as progress; otherwise such a server would be retried for ever.
      this.#movedOn = false;
      return new ConnectionError(`${address(this.#url)} sent almost nothing for ${seconds} s`, AGAIN);
    }
    return connectionFault(error, this.#url);
  }

  /** Checks the hash and renames the file. */
  async finish(): Promise<{ bytes: number; sha256: string }> {
    const sha256 = this.#hash.digest('hex');
    const expected = this.#options.sha256?.toLowerCase();
    if (expected !== undefined && sha256 !== expected) {
      await this.#forget();
      throw new DataError(`${address(this.#url)} has SHA-256 ${sha256}, but ${expected} was expected`, {
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

const AGAIN = { fix: 'Run the same command again: the part that was downloaded is kept.' };
const OTHER_BYTES =
  'The download was removed. Run the same command again in case the transfer was damaged. If this happens again, the file at the source has changed: use another source.';

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

/** Returns whether all fields agree that both sides know. */
function isSameVersion(a: Version | undefined, b: Version): boolean {
  const differs = (key: keyof Version) => a?.[key] !== undefined && b[key] !== undefined && a[key] !== b[key];
  return !differs('etag') && !differs('modified') && !differs('total');
}
