import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { AbortedError, DataError, isAbort, LlmQeError, systemFault, throwIfAborted } from '../errors.ts';
import { makeFolder } from './folders.ts';
import { isInsideFolder } from './safe-path.ts';
import { refuseStandInFile } from './stand-in.ts';

export interface UnpackOptions {
  /** Selects files by their name inside the archive. Default: all. */
  include?: (name: string) => boolean;
  /** Returns the path of a file inside the folder, with forward slashes. Default: its own name. */
  rename?: (name: string) => string;
  signal?: AbortSignal | undefined;
  /** Limit on the total unpacked size of the selected files. Default 64 GiB. */
  maxBytes?: number | undefined;
  /** Limit on the number of entries in the archive. Default 10,000. */
  maxFiles?: number | undefined;
}

const DEFAULT_MAX_BYTES = 64 * 2 ** 30;
const DEFAULT_MAX_FILES = 10_000;
/** Text and weights shrink to a hundredth at most; a zip bomb shrinks to a thousandth, the limit of Deflate. */
const LARGEST_RATIO = 250;
/** Below this size even a bomb is harmless, and a file of blanks is legitimate. */
const HARMLESS_BYTES = 16 * 2 ** 20;

/**
 * Unpacks a zip archive into a folder, file by file as a stream, and returns the paths written, in the order of the archive. The
 * complete directory of the archive is checked before the first byte is written. Each file appears under its name only if its size
 * and CRC-32 are right.
 * @throws DataError if the archive is broken, truncated or encrypted, if it names a path outside the folder (`..`, absolute,
 * backslash), if it holds a link or a duplicate name, or if it unpacks to more than the limits allow (a zip bomb)
 * @throws ResourceError if the disk is full; AbortedError
 */
export async function unpackZip(file: string, folder: string, options: UnpackOptions = {}): Promise<string[]> {
  throwIfAborted(options.signal);
  await refuseStandInFile(file);
  const zip = await openPromise(file, { autoClose: false, strictFileNames: true }).catch((error: unknown) => {
    throw zipFault(error, file);
  });
  zip.on('error', () => {});
  try {
    const wanted = await readDirectory(zip, file, options);
    const written: string[] = [];
    for (const [target, entry] of wanted) {
      throwIfAborted(options.signal);
      const path = join(folder, target);
      await unpackEntry(zip, entry, path, options.signal);
      written.push(path);
    }
    return written;
  } catch (error) {
    throw zipFault(error, file);
  } finally {
    zip.close();
  }
}

/** Returns the selected files by their path inside the folder, after all checks. */
async function readDirectory(zip: ZipFile, file: string, options: UnpackOptions): Promise<Map<string, Entry>> {
  const maxFiles = options.maxFiles ?? DEFAULT_MAX_FILES;
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  const refuse = (reason: string, id?: string) => new DataError(reason, { file, id, fix: DISTRUST });
  if (zip.entryCount > maxFiles) throw refuse(`holds ${zip.entryCount} entries; the limit is ${maxFiles}`);
  const names = new Set<string>();
  const wanted = new Map<string, Entry>();
  let bytes = 0;
  for await (const entry of zip.eachEntry()) {
    const name = entry.fileName;
    const fault = describeFault(entry) ?? (names.has(name) ? 'occurs twice in the archive' : undefined);
    if (fault !== undefined) throw refuse(fault, name);
    names.add(name);
    if (name.endsWith('/') || options.include?.(name) === false) continue;
    const target = options.rename?.(name) ?? name;
    if (!isInsideFolder(target))
      throw refuse(`would be written outside the folder, as ${JSON.stringify(target)}`, name);
    if (wanted.has(target)) throw refuse(`would overwrite another entry as ${JSON.stringify(target)}`, name);
    wanted.set(target, entry);
    bytes += entry.uncompressedSize;
    if (bytes > maxBytes) throw refuse(`unpacks to more than ${maxBytes} bytes`, name);
  }
  return wanted;
}

const DISTRUST = 'Nothing was unpacked. Do not trust this archive. Download it again from its publisher.';

function describeFault(entry: Entry): string | undefined {
  if (entry.isEncrypted()) return 'is encrypted';
  const kind = (entry.externalFileAttributes >>> 16) & 0o170000;
  if (kind === 0o120000) return 'is a symbolic link';
  if (kind !== 0 && kind !== 0o100000 && kind !== 0o040000) return 'is neither a file nor a folder';
  if (!isInsideFolder(entry.fileName.replace(/\/$/, ''))) return 'is a path outside the folder';
  const { compressedSize, uncompressedSize } = entry;
  if (uncompressedSize > HARMLESS_BYTES && uncompressedSize > compressedSize * LARGEST_RATIO) {
    return `unpacks to ${Math.round(uncompressedSize / Math.max(1, compressedSize))} times its size, as a zip bomb does`;
  }
  return undefined;
}

async function unpackEntry(zip: ZipFile, entry: Entry, path: string, signal: AbortSignal | undefined): Promise<void> {
  const partial = `${path}.partial`;
  try {
    await makeFolder(dirname(path));
    const source = await zip.openReadStreamPromise(entry);
    await pipeline(source, new ChecksumGate(entry), createWriteStream(partial), signal ? { signal } : {});
    const handle = await open(partial, 'r+');
    await handle.sync().finally(() => handle.close());
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw systemFault(error, path);
  }
}

/** Passes bytes through and fails at the end if they do not match the archive's directory. */
class ChecksumGate extends Transform {
  readonly #entry: Entry;
  #checksum = 0;
  #bytes = 0;

  constructor(entry: Entry) {
    super();
    this.#entry = entry;
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: Error | null, chunk?: Buffer) => void): void {
    this.#checksum = crc32(chunk, this.#checksum);
    this.#bytes += chunk.length;
    done(null, chunk);
  }

  override _flush(done: (error?: Error) => void): void {
    const { crc32: promised, uncompressedSize, fileName } = this.#entry;
    const isWhole = this.#bytes === uncompressedSize && this.#checksum === promised;
    done(isWhole ? undefined : new Error(`${fileName}: the bytes do not match their checksum`));
  }
}

/** Adds the archive's name to exceptions of the zip reader and Deflate. */
function zipFault(error: unknown, file: string): unknown {
  if (isAbort(error))
    return error instanceof AbortedError ? error : new AbortedError('stopped', { file, cause: error });
  const known = systemFault(error, file);
  if (known instanceof LlmQeError || !(error instanceof Error)) return known;
  const fix = 'Download the archive again. If that does not help, it was published broken.';
  return new DataError(`is not a complete zip archive (${error.message})`, { file, fix, cause: error });
}
