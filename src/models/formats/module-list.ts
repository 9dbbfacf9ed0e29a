import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import type { FileListing } from './file-listing.ts';

/** A module of an encoder, from the `modules.json` of sentence-transformers. */
export interface Module {
  /** The last word of its type: `Transformer`, `Pooling`, `Normalize`, `Dense`, `Router`. */
  kind: string;
  /** The folder of its files below the model's; empty for the model's own folder. */
  path: string;
}

export const MODULE_LIST = 'modules.json';

const modulesSchema = z.array(z.looseObject({ path: z.string().default(''), type: z.string() }));

/**
 * Reads the modules of an encoder. Nothing is guessed from the names of folders.
 * @returns an empty list if there is no list of modules, or if it is broken: who needs it says so
 */
export async function modulesOf(listing: FileListing): Promise<Module[]> {
  if (!listing.names.includes(MODULE_LIST)) return [];
  try {
    const modules = modulesSchema.parse(JSON.parse(await listing.readIndex(MODULE_LIST)));
    return modules.map(({ type, path }) => ({ kind: type.split('.').at(-1)!, path: path.replace(/^\.?\/|\/$/g, '') }));
  } catch {
    return [];
  }
}

/** The folder of the network and its tokenizer: empty, or `0_Transformer` in the old layout of sentence-transformers. */
export function networkFolder(modules: readonly Module[]): string {
  return modules.find(({ kind }) => kind === 'Transformer')?.path ?? '';
}

/** Refuses a model without the settings of its pooling, which would be found out when it is loaded. @throws ModelError */
export function refuseMissingModules({ place, names }: FileListing, modules: readonly Module[]): void {
  const missing = modules.find(({ kind, path }) => kind === 'Pooling' && !names.includes(`${path}/config.json`));
  if (missing === undefined) return;
  throw new ModelError(`${MODULE_LIST} names ${missing.path}, but ${missing.path}/config.json is missing`, {
    file: place,
    fix: 'Download the model again, all of its folders.',
  });
}
