import { constants, copyFile, mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemFault, throwIfAborted, unpackZip } from '../../system/index.ts';
import { listFolder, selectFiles } from '../store-selection.ts';
import type { FileRecord, PinnedFile } from '../store-types.ts';
import { type FetchOrder, type ModelSource, recordPinned } from './source.ts';

/** A folder, a single weights file, or a wheel or zip archive that the user already has. */
export class FolderSource implements ModelSource {
  readonly label: string;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.label = path;
  }

  async fetch(order: FetchOrder): Promise<FileRecord[]> {
    const isFolder = await stat(this.#path).then(
      (found) => found.isDirectory(),
      (error: unknown) => {
        throw systemFault(error, this.#path);
      },
    );
    const files: readonly PinnedFile[] =
      order.files ?? selectFiles(await listFolder(this.#path), this.#path).files.map((path) => ({ path }));
    if (/\.(whl|zip)$/.test(this.#path)) {
      await unpackWanted(this.#path, files, order);
    } else {
      for (const { path } of files) {
        throwIfAborted(order.signal);
        // A single file stands for the one file of a model, whatever it is called.
        await copyInto(isFolder ? join(this.#path, path) : this.#path, join(order.folder, path));
        if (!isFolder) break;
      }
    }
    return await recordPinned(order.folder, files, this.label, order.signal);
  }
}

async function copyInto(source: string, target: string): Promise<void> {
  try {
    await mkdir(dirname(target), { recursive: true });
    await copyFile(source, target, constants.COPYFILE_FICLONE);
  } catch (error) {
    throw systemFault(error, source);
  }
}

/** Takes the wanted files out of an archive from wherever in it they stand together. */
export async function unpackWanted(
  archive: string,
  files: readonly PinnedFile[],
  order: FetchOrder,
  prefix?: string,
): Promise<void> {
  const inner = (name: string) =>
    files.find(({ path }) =>
      prefix === undefined ? name === path || name.endsWith(`/${path}`) : name === prefix + path,
    );
  await unpackZip(archive, order.folder, {
    include: (name) => inner(name) !== undefined,
    rename: (name) => inner(name)!.path,
    signal: order.signal,
  });
}
