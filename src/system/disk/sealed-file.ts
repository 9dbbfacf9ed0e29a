import { readFile, rm, stat } from 'node:fs/promises';
import { z } from 'zod';
import { writeDurably } from './durable-file.ts';
import { sha256File } from './hash.ts';

const sealSchema = z.object({ bytes: z.number(), modified: z.number(), inode: z.number(), sha256: z.string() });

/**
 * Returns whether a file of a cache is as it was when it was sealed. A file with the size, modification time and inode of the seal
 * is not read; any other is, once.
 */
export async function isSealed(file: string, signal?: AbortSignal): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  const seal = sealSchema.safeParse(await readJson(sealOf(file))).data;
  if (found === undefined || seal === undefined || found.size !== seal.bytes) return false;
  if (found.mtimeMs === seal.modified && found.ino === seal.inode) return true;
  if ((await sha256File(file, signal)) !== seal.sha256) return false;
  // A copied cache has other times and numbers, but the same bytes.
  await writeSeal(file, seal.sha256).catch(() => {});
  return true;
}

/** Records the SHA-256 of a file that was just written, in `FILE.seal.json`. @throws ResourceError */
export async function seal(file: string, signal?: AbortSignal): Promise<void> {
  await writeSeal(file, await sha256File(file, signal));
}

/** Removes a file and its seal. */
export async function removeSealed(file: string): Promise<void> {
  for (const path of [file, sealOf(file)]) await rm(path, { force: true });
}

async function writeSeal(file: string, sha256: string): Promise<void> {
  const { size: bytes, mtimeMs: modified, ino: inode } = await stat(file);
  await writeDurably(sealOf(file), `${JSON.stringify({ bytes, modified, inode, sha256 })}\n`);
}

function sealOf(file: string): string {
  return `${file}.seal.json`;
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch {
    return undefined;
  }
}
