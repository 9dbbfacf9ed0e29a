import { join } from 'node:path';
import { BeirDataset, cachedSha256, downloadBeir } from '../data/index.ts';
import { isThere, type Progress } from '../system/index.ts';
import type { SuiteSet } from './suite-schema.ts';

export interface SetDataOptions {
  /** Folder that downloaded data sets are unpacked into. */
  data: string;
  offline?: boolean | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** The folder of a set, downloaded or not. */
export function folderOf({ source }: Pick<SuiteSet, 'source'>, data: string): string {
  if (source.kind === 'folder') return source.folder;
  return source.part === undefined ? join(data, source.name) : join(data, source.name, source.part);
}

/** Whether the data of a set is on this machine. */
export function isHere(set: Pick<SuiteSet, 'source'>, data: string): Promise<boolean> {
  return isThere(folderOf(set, data));
}

/** Opens a set, after downloading what is missing. @throws DataError, NetworkError, ResourceError */
export async function openSet(
  set: SuiteSet,
  { data, offline, signal, progress }: SetDataOptions,
): Promise<BeirDataset> {
  const { source } = set;
  if (source.kind === 'beir' && !(await isHere(set, data))) {
    await downloadBeir(source.name, { folder: data, offline, signal, progress });
  }
  return BeirDataset.open(folderOf(set, data));
}

/** The content of a set, as hashes: what its results depend on. */
export async function hashesOf(dataset: BeirDataset, split: string, signal?: AbortSignal) {
  return {
    corpus: await dataset.corpusHash(signal),
    queries: await cachedSha256(await dataset.queriesFile(), signal),
    qrels: await cachedSha256(await dataset.qrelsFile(split), signal),
  };
}
