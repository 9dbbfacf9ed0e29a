import { constants, copyFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder, placeInside, systemFault, throwIfAborted, unpackZip } from '../../../system/index.ts';
import { selectAt } from '../store-selection.ts';
import type { FileRecord, PinnedFile } from '../store-types.ts';
import { type FetchOrder, type ModelSource, recordPinned, refusal, refuseFormat } from './source.ts';

/** A folder, a single weights file, or a wheel or zip archive on this machine. */
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
    const isArchive = /\.(whl|zip)$/.test(this.#path);
    if (order.files === undefined && isArchive) throw refusal(`${this.#path} is not a folder`);
    if (order.files === undefined) return await this.#copyModel(order);
    const { files } = order;
    if (isArchive) {
      await unpackWanted(this.#path, await findPrefix(this.#path, files, order), files, order);
    } else {
      for (const { path } of files) {
        throwIfAborted(order.signal);
        // A single file may have any name: it is the only file of the model.
        await copyInto(isFolder ? placeInside(this.#path, path) : this.#path, placeInside(order.folder, path));
        if (!isFolder) break;
      }
    }
    return await recordPinned(order.folder, files, this.label, order.signal);
  }

  /** Copies all files of the model that the path names. */
  async #copyModel({ folder, formats, signal }: FetchOrder): Promise<FileRecord[]> {
    const model = await selectAt(this.#path);
    refuseFormat(model.format, formats, this.label);
    for (const path of model.files) {
      throwIfAborted(signal);
      await copyInto(placeInside(model.folder, path), placeInside(folder, path));
    }
    const files = model.files.map((path) => ({ path }));
    return await recordPinned(folder, files, this.label, signal);
  }
}

async function copyInto(source: string, target: string): Promise<void> {
  try {
    await makeFolder(dirname(target));
    await copyFile(source, target, constants.COPYFILE_FICLONE);
  } catch (error) {
    throw systemFault(error, source);
  }
}

/** Extracts the wanted files from one folder of an archive. */
export async function unpackWanted(
  archive: string,
  prefix: string,
  files: readonly PinnedFile[],
  order: FetchOrder,
): Promise<void> {
  const wanted = new Set(files.map(({ path }) => prefix + path));
  await unpackZip(archive, order.folder, {
    include: (name) => wanted.has(name),
    rename: (name) => name.slice(prefix.length),
    signal: order.signal,
  });
}

/** Finds the folder of an archive that holds all wanted files; returns it with its trailing slash. */
async function findPrefix(archive: string, files: readonly PinnedFile[], order: FetchOrder): Promise<string> {
  const names = new Set<string>();
  const note = (name: string) => {
    names.add(name);
    return false;
  };
  await unpackZip(archive, order.folder, { include: note, signal: order.signal });
  const first = files[0]?.path ?? '';
  const prefixes = [...names]
    .filter((name) => name === first || name.endsWith(`/${first}`))
    .map((name) => name.slice(0, name.length - first.length));
  const found = prefixes.find((prefix) => files.every(({ path }) => names.has(prefix + path)));
  if (found === undefined) throw refusal(`${archive} does not hold ${files.map(({ path }) => path).join(', ')}`);
  return found;
}
