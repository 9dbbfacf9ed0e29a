import { randomBytes } from 'node:crypto';
import { access, type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemFault } from './errors.ts';

/** Whether a file or folder is there and may be seen. For a file that is then read, rather read it and look at the error. */
export function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

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
    const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.partial`;
    try {
      await makeFolder(dirname(path));
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

/**
 * Makes a folder and those above it; one that is there is left as it is. Node's own recursive `mkdir` calls a read-only
 * disk a missing folder, and never ends where nothing can be made (below /proc).
 * @throws ResourceError, DataError
 */
export async function makeFolder(folder: string): Promise<void> {
  const fault = await tryToMake(folder);
  if (fault === undefined) return;
  const parent = dirname(folder);
  if (!('code' in fault) || fault.code !== 'ENOENT' || parent === folder) throw systemFault(fault, folder);
  await makeFolder(parent);
  const again = await tryToMake(folder);
  if (again !== undefined) throw systemFault(again, folder);
}

async function tryToMake(folder: string): Promise<Error | undefined> {
  try {
    await mkdir(folder);
    return undefined;
  } catch (error) {
    const found = await stat(folder).catch(() => undefined);
    return found?.isDirectory() ? undefined : (error as Error);
  }
}

/** Makes a rename survive a power cut. Windows cannot open folders, and needs no such call. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
