import { cacheHome, contentKey } from '../../system/index.ts';
import { weightFilesAt } from '../formats/model-folder.ts';
import { FileHashes } from './store-hashes.ts';

/** Files of a tokenizer. */
export const TOKENIZER_FILE = /^(tokenizer(_config)?\.json|special_tokens_map\.json|added_tokens\.json|vocab\.txt)$/;

/**
 * One key for the weights and the tokenizer in a folder, by the bytes of their files: a copy of them in another folder has the same
 * key, whatever else that folder holds.
 * @throws ModelError if there are no weights
 */
export async function weightsKey(folder: string, signal?: AbortSignal): Promise<string> {
  const { files, names } = await weightFilesAt(folder);
  const hashes = new FileHashes(cacheHome());
  const found: Record<string, string> = {};
  for (const name of [...files, ...names.filter((name) => TOKENIZER_FILE.test(name))].sort()) {
    found[name] = (await hashes.record(folder, name, { signal })).sha256;
  }
  return contentKey(found);
}
