import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { systemFault } from '../errors.ts';
import { makeFolder, syncFolder } from './folders.ts';
import { claimNeighbour } from './leftovers.ts';
import { outputTarget } from './output-target.ts';

/** Receives the bytes until the file is committed. */
interface Sink {
  write(content: string | Uint8Array): Promise<void>;
  /** Finishes the file: all bytes are written. */
  commit(): Promise<void>;
  /** Discards what was written. */
  discard(): Promise<void>;
}

/**
 * A file that appears under its name only when it is complete. Bytes go to a neighbouring file, which {@link commit} flushes to
 * disk and renames. An interruption at any point leaves the old file, or none. A link is followed, and its target is replaced. A
 * device or a pipe receives the bytes as they come.
 */
export class DurableFile {
  readonly path: string;
  readonly #sink: Sink;

  private constructor(path: string, sink: Sink) {
    this.path = path;
    this.#sink = sink;
  }

  /** Creates the neighbouring file, and the folder if it is missing. @throws ResourceError */
  static async create(path: string): Promise<DurableFile> {
    try {
      const target = await outputTarget(path);
      const sink = target.isStream ? await openStream(path) : await openNeighbour(target.path);
      return new DurableFile(path, sink);
    } catch (error) {
      throw systemFault(error, path);
    }
  }

  /** Appends text (UTF-8) or bytes. @throws ResourceError if the disk is full */
  async write(content: string | Uint8Array): Promise<void> {
    try {
      await this.#sink.write(content);
    } catch (error) {
      throw systemFault(error, this.path);
    }
  }

  /** Flushes to disk and renames. */
  async commit(): Promise<void> {
    try {
      await this.#sink.commit();
    } catch (error) {
      await this.discard();
      throw systemFault(error, this.path);
    }
  }

  /** Discards the bytes: no file appears. */
  async discard(): Promise<void> {
    await this.#sink.discard();
  }
}

async function openNeighbour(target: string): Promise<Sink> {
  await makeFolder(dirname(target));
  const temporary = await claimNeighbour(target, 'partial');
  const handle = await open(temporary, 'wx');
  return {
    write: (content) => handle.writeFile(content),
    async commit() {
      await handle.sync();
      await handle.close();
      await rename(temporary, target);
      await syncFolder(dirname(target));
    },
    async discard() {
      await handle.close().catch(() => {});
      await rm(temporary, { force: true });
    },
  };
}

async function openStream(path: string): Promise<Sink> {
  const own = /^\/(?:dev\/(stdout|stderr)|(?:dev|proc\/self)\/fd\/([12]))$/.exec(resolve(path));
  if (own !== null) return ownOutput(own[1] === 'stderr' || own[2] === '2' ? process.stderr : process.stdout);
  // Appending neither truncates nor overwrites what others have written there.
  const handle: FileHandle = await open(path, 'a');
  return {
    write: (content) => handle.writeFile(content),
    commit: () => handle.close(),
    discard: () => handle.close().catch(() => {}),
  };
}

/** The process's own output may be a socket, which cannot be opened by name. It stays open. */
function ownOutput(stream: NodeJS.WriteStream): Sink {
  return {
    write: (content) =>
      new Promise((done, failed) => {
        stream.write(content, (error) => (error ? failed(error) : done()));
      }),
    async commit() {},
    async discard() {},
  };
}

/** Writes a complete file durably. See {@link DurableFile}. */
export async function writeDurably(path: string, content: string | Uint8Array): Promise<void> {
  const file = await DurableFile.create(path);
  try {
    await file.write(content);
  } catch (error) {
    await file.discard();
    throw error;
  }
  await file.commit();
}
