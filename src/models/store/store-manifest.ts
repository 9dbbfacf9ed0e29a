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

/** What the store knows of a model it holds. It is written last, so where it stands the model is whole. */
export type Manifest = z.infer<typeof manifestSchema>;

const MANIFEST = 'manifest.json';

/** A manifest says its own version, and without a right one a folder is not taken for a model. */
export const MODEL_CACHE = new CacheKind({
  name: 'models',
  what: 'fetched models',
  isPrecious: true,
  describe: async (path) => (await readManifest(path))?.source,
});

/** Undefined where there is none, or none that can be read. */
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

/** From now on the folder's files are not a model. */
export async function discardManifest(folder: string): Promise<void> {
  await rm(join(folder, MANIFEST), { force: true });
}

/** What differs between a manifest and the files in its folder by their sizes: the first difference, in words. */
export async function findSizeFault(folder: string, { files }: Manifest): Promise<string | undefined> {
  for (const file of files) {
    const size = await stat(join(folder, file.path)).then(
      (found) => found.size,
      () => undefined,
    );
    if (size === undefined) return `${file.path} is missing`;
    if (size !== file.bytes) return `${file.path} has ${size} bytes, and had ${file.bytes} when it was fetched`;
  }
  return undefined;
}

/** Why the bytes of a file are not the ones that are pinned, in words; undefined where they are. */
export function describeMismatch(record: FileRecord, pin: PinnedFile): string | undefined {
  if (pin.bytes !== undefined && record.bytes !== pin.bytes) {
    return `${record.path} has ${record.bytes} bytes, not ${pin.bytes}: these are other bytes, and so another model`;
  }
  if (pin.sha256 !== undefined && record.sha256 !== pin.sha256) {
    return `${record.path} has SHA-256 ${record.sha256}, not ${pin.sha256}: these are other bytes, and so another model`;
  }
  return undefined;
}

/** One key for the bytes of a model: of a single file its own SHA-256, of a folder a hash over names and hashes. */
export function fingerprintOf(files: readonly FileRecord[]): string {
  if (files.length === 1) return files[0]!.sha256;
  return contentKey(Object.fromEntries(files.map(({ path, sha256 }) => [path, sha256])));
}
