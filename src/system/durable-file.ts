import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemFault } from './errors.ts';
import { makeFolder, syncFolder } from './folders.ts';
import { claimNeighbour } from './leftovers.ts';

/**
 * A file that appears under its name only when it is whole: bytes go to a neighbour, which is flushed to the disk and
 * renamed by {@link commit}. A cut at any point leaves the old file, or none.
 */
export class DurableFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #temporary: string;

  private constructor(path: string, temporary: string, handle: FileHandle) {
    this.path = path;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  /** Opens the neighbour, making the folder where it is missing. @throws ResourceError */
  static async create(path: string): Promise<DurableFile> {
    try {
      await makeFolder(dirname(path));
      const temporary = await claimNeighbour(path, 'partial');
      return new DurableFile(path, temporary, await open(temporary, 'wx'));
    } catch (error) {
      throw systemFault(error, path);
    }
  }

  /** Appends text (UTF-8) or bytes. @throws ResourceError when the disk is full */
  async write(content: string | Uint8Array): Promise<void> {
    try {
      await this.#handle.writeFile(content);
    } catch (error) {
      throw systemFault(error, this.path);
    }
  }

  /** Flushes to the disk and takes the name. */
  async commit(): Promise<void> {
    try {
      await this.#handle.sync();
      await this.#handle.close();
      await rename(this.#temporary, this.path);
      await syncFolder(dirname(this.path));
    } catch (error) {
      await rm(this.#temporary, { force: true });
      throw systemFault(error, this.path);
    }
  }

  /** Gives up: nothing appears. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await rm(this.#temporary, { force: true });
  }
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
