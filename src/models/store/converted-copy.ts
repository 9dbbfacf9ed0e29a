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
 * Makes a file of the cache that was converted from a model, if it is not there or is not what was written: beside it stands
 * `STEM.manifest.json` with its SHA-256. A file whose size, time of change and inode are those of the last check is not
 * read again, so a sound copy costs two small files; a damaged one, or one without a manifest, is made anew. Processes that
 * want the same copy make it once.
 * @param file where it stands, or will; the cache's key is its name
 * @param make writes the whole file, durably
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
