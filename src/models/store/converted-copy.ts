import { readFile, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { cacheHome, isThere, makeFolder, type Progress, withFileLock, writeDurably } from '../../system/index.ts';
import { FileHashes } from './store-hashes.ts';

const sealSchema = z.object({ bytes: z.number(), sha256: z.string() });

export interface CopyOptions {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/**
 * Makes a cached file that is converted from a model, unless a valid one exists. Its SHA-256 is in `STEM.manifest.json`
 * next to it. A file with the size, modification time and inode of the last check is not read again, so checking a
 * valid copy reads two small files. A damaged copy, or one without a manifest, is made again. Processes that need the
 * same copy make it once.
 * @param file the path of the copy; its name is the cache key
 * @param make writes the complete file durably
 * @throws whatever `make` throws; ResourceError, AbortedError
 */
export async function makeConvertedCopy(
  file: string,
  make: () => Promise<void>,
  options: CopyOptions = {},
): Promise<void> {
  const { signal, progress } = options;
  if (await isIntact(file, signal)) return;
  const work = async () => {
    if (await isIntact(file, signal)) return;
    await rm(file, { force: true });
    await make();
    const { bytes, sha256 } = await hashes().record(dirname(file), basename(file), { signal });
    await writeDurably(sealOf(file), `${JSON.stringify({ bytes, sha256 })}\n`);
  };
  await makeFolder(dirname(file));
  await withFileLock(`${file}.lock`, work, { signal, progress, what: `makes ${basename(file)}` });
}

function sealOf(file: string): string {
  return `${file.replace(/\.[^./]*$/, '')}.manifest.json`;
}

function hashes(): FileHashes {
  return new FileHashes(cacheHome());
}

async function isIntact(file: string, signal: AbortSignal | undefined): Promise<boolean> {
  if (!(await isThere(file))) return false;
  const text = await readFile(sealOf(file), 'utf8').catch(() => '');
  const seal = sealSchema.safeParse(parse(text)).data;
  if (seal === undefined) return false;
  const { bytes, sha256 } = await hashes().record(dirname(file), basename(file), { signal });
  return bytes === seal.bytes && sha256 === seal.sha256;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
