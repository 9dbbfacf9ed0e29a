import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listFolder } from '../../formats/model-folder.ts';
import type { HubReference } from './hub-reference.ts';

/** A model in the cache of the hub's own libraries. */
export interface Snapshot {
  folder: string;
  commit: string;
  /** The existing files, with forward slashes. */
  names: string[];
  /** Links to files that are not there. */
  dangling: string[];
  /** Files that the repository lacks, as recorded by `huggingface_hub`. */
  absent: string[];
}

/**
 * Finds a model in the cache of `huggingface_hub` (`models--owner--name/snapshots/COMMIT`; `refs/` holds the commit of
 * a branch or tag). The snapshot may hold only a part of the model. Layout: Hugging Face's page "Hub Local Cache".
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
    const absent = await listFolder(join(repository, '.no_exist', commit)).catch(() => ({ names: [] }));
    return { folder, commit, ...(await listFolder(folder)), absent: absent.names };
  } catch {
    return undefined;
  }
}
