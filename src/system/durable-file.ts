import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { systemFault } from './errors.ts';
import { makeFolder, syncFolder } from './folders.ts';
import { claimNeighbour } from './leftovers.ts';
import { outputTarget } from './output-target.ts';

/** Where the bytes go meanwhile. */
interface Sink {
  write(content: string | Uint8Array): Promise<void>;
  /** All bytes are written. */
  commit(): Promise<void>;
  /** Gives up. */
  discard(): Promise<void>;
}

/**
 * A file that appears under its name only when it is whole: bytes go to a neighbour, which is flushed to the disk and
 * renamed by {@link commit}. A cut at any point leaves the old file, or none. A link is followed: the file it leads to
 * is replaced. A device or a pipe gets the bytes as they come.
 */
export class DurableFile {
  readonly path: string;
  readonly #sink: Sink;

  private constructor(path: string, sink: Sink) {
    this.path = path;
    this.#sink = sink;
  }

  /** Opens the neighbour, making the folder where it is missing. @throws ResourceError */
  static async create(path: string): Promise<DurableFile> {
    try {
      const target = await outputTarget(path);
      const sink = target.isStream ? await openStream(path) : await openNeighbour(target.path);
      return new DurableFile(path, sink);
    } catch (error) {
      throw systemFault(error, path);
    }
  }

  /** Appends text (UTF-8) or bytes. @throws ResourceError when the disk is full */
  async write(content: string | Uint8Array): Promise<void> {
    try {
      await this.#sink.write(content);
    } catch (error) {
      throw systemFault(error, this.path);
    }
  }

  /** Flushes to the disk and takes the name. */
  async commit(): Promise<void> {
    try {
      await this.#sink.commit();
    } catch (error) {
      await this.discard();
      throw systemFault(error, this.path);
    }
  }

  /** Gives up: nothing appears. */
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
  // Appending neither cuts short what others have written there, nor writes over it.
  const handle: FileHandle = await open(path, 'a');
  return {
    write: (content) => handle.writeFile(content),
    commit: () => handle.close(),
    discard: () => handle.close().catch(() => {}),
  };
}

/** Its own output may be a socket, which the system does not let anybody open by name. It stays open. */
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

/** Writes a whole file durably; see {@link DurableFile}. */
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
