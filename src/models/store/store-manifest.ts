import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CacheKind, contentKey, isInsideFolder, writeDurably } from '../../system/index.ts';
import type { FileRecord, PinnedFile } from './store-types.ts';

const manifestSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  source: z.string(),
  format: z.enum(['gguf', 'safetensors', 'torch']),
  fetched: z.string(),
  files: z
    .array(
      z.object({ path: z.string().refine(isInsideFolder), bytes: z.number().int().nonnegative(), sha256: z.string() }),
    )
    .min(1),
});

/** What the store knows about a model. It is written last, so its presence means that the model is complete. */
export type Manifest = z.infer<typeof manifestSchema>;

const MANIFEST = 'manifest.json';

/** A manifest states its version; without a valid one, a folder is not a model. */
export const MODEL_CACHE = new CacheKind({
  name: 'models',
  what: 'downloaded models',
  isPrecious: true,
  describe: async (path) => (await readManifest(path))?.source,
});

/** Reads the manifest of a folder; undefined if it is missing or unreadable. */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  try {
    return manifestSchema.parse(JSON.parse(await readFile(join(folder, MANIFEST), 'utf8')));
  } catch {
    return undefined;
  }
}

export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  await writeDurably(join(folder, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/** Removes the manifest: the folder's files no longer count as a model. */
export async function discardManifest(folder: string): Promise<void> {
  await rm(join(folder, MANIFEST), { force: true });
}

/** Describes the first difference in size between a manifest and the files in its folder. */
export async function findSizeFault(folder: string, { files }: Manifest): Promise<string | undefined> {
  for (const file of files) {
    const size = await stat(join(folder, file.path)).then(
      (found) => found.size,
      () => undefined,
    );
    if (size === undefined) return `${file.path} is missing`;
    if (size !== file.bytes) return `${file.path} has ${size} bytes, but had ${file.bytes} when it was downloaded`;
  }
  return undefined;
}

/** Describes how a file differs from its pinned bytes; undefined if it does not. */
export function describeMismatch(record: FileRecord, pin: PinnedFile): string | undefined {
  if (pin.bytes !== undefined && record.bytes !== pin.bytes) {
    return `${record.path} has ${record.bytes} bytes, not ${pin.bytes}: the bytes differ, so it is another model`;
  }
  if (pin.sha256 !== undefined && record.sha256 !== pin.sha256) {
    return `${record.path} has SHA-256 ${record.sha256}, not ${pin.sha256}: the bytes differ, so it is another model`;
  }
  return undefined;
}

/**
 * Returns one key for the bytes of a model: the SHA-256 of a single file, or a hash over the names and hashes of
 * several.
 */
export function fingerprintOf(files: readonly FileRecord[]): string {
  if (files.length === 1) return files[0]!.sha256;
  return contentKey(Object.fromEntries(files.map(({ path, sha256 }) => [path, sha256])));
}
