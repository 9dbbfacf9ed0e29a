import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { findKnownModel, ModelStore } from '../models/index.ts';
import { contentKey, sha256File } from '../system/index.ts';
import type { CommandContext } from './command.ts';

/** `--base` of the commands that write models. */
export const baseOption = z
  .string()
  .describe('the model that the adapter was trained on: a name, a folder, a .gguf file, or hf:owner/name')
  .meta({ valueName: 'NAME|PATH' });

/** Returns the path of a base model. A path is used as it is; a name is downloaded if needed. @throws ModelError, NetworkError */
export async function locateBase(
  base: string,
  offline: boolean | undefined,
  { signal, progress }: Pick<CommandContext, 'signal' | 'progress'>,
): Promise<string> {
  const isPath = findKnownModel(base) === undefined && (await stat(base).catch(() => undefined)) !== undefined;
  return isPath ? base : (await new ModelStore({ offline, progress }).resolve(base, { signal })).path;
}

/** Digits of a hash that are recorded. */
const DIGITS = 16;

/** Returns hashes of what an export is made from. @throws ModelError, ResourceError */
export async function hashesOf(
  base: string,
  adapter: string | undefined,
  { signal, progress }: Pick<CommandContext, 'signal' | 'progress'>,
): Promise<{ base: string; adapter?: string }> {
  const isWeightsFile = (await stat(base)).isFile() && !base.endsWith('.gguf');
  const hash = isWeightsFile
    ? await sha256File(base, signal)
    : (await new ModelStore({ offline: true, progress }).resolve(base, { signal })).fingerprint;
  return { base: hash.slice(0, DIGITS), ...(adapter !== undefined && { adapter: await hashOfAdapter(adapter) }) };
}

async function hashOfAdapter(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /^adapter_(config\.json|model\.\w+)$/.test(name)).sort();
  const hashes = await Promise.all(names.map(async (name) => [name, await sha256File(join(folder, name))]));
  return contentKey(hashes).slice(0, DIGITS);
}
