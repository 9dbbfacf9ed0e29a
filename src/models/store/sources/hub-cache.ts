import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listFolder } from '../store-selection.ts';
import type { HubReference } from './hub-reference.ts';

/** A model as the hub's own libraries keep it. */
export interface Snapshot {
  folder: string;
  /** Every file in it, with forward slashes. */
  names: string[];
}

/**
 * Finds a model in the cache of `huggingface_hub` (`models--owner--name/snapshots/COMMIT`, the commit of a branch or tag
 * in `refs/`). What is found may be a part of the model only.
 * Layout: Hugging Face's page "Hub Local Cache".
 */
export async function findSnapshot(cache: string, reference: HubReference): Promise<Snapshot | undefined> {
  const repository = join(cache, `models--${reference.repository.replace('/', '--')}`);
  const isCommit = /^[0-9a-f]{40}$/.test(reference.revision);
  const named = isCommit
    ? reference.revision
    : await readFile(join(repository, 'refs', reference.revision), 'utf8').catch(() => '');
  const commit = named.trim();
  if (!/^[0-9a-f]{40}$/.test(commit)) return undefined;
  const folder = join(repository, 'snapshots', commit);
  try {
    return { folder, names: await listFolder(folder) };
  } catch {
    return undefined;
  }
}
