import { join } from 'node:path';
import { BeirDataset, cachedSha256, downloadBeir, downloadFromHub, EXCLUDED_FILE } from '../data/index.ts';
import { readLines } from '../files/index.ts';
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
  if (source.kind === 'hub') return join(data, source.name);
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
  if (source.kind === 'hub') {
    return downloadFromHub(source.name, source.source, { folder: data, offline, signal, progress });
  }
  return BeirDataset.open(folderOf(set, data));
}

/** Documents that do not count for a query, by query; empty for most sets. BRIGHT lists them. */
export async function excludedOf(dataset: BeirDataset): Promise<Map<string, Set<string>>> {
  const file = join(dataset.folder, EXCLUDED_FILE);
  const excluded = new Map<string, Set<string>>();
  if (!(await isThere(file))) return excluded;
  for await (const { text } of readLines(file)) {
    const [query, document] = text.split('\t');
    if (!query || !document) continue;
    excluded.set(query, (excluded.get(query) ?? new Set()).add(document));
  }
  return excluded;
}

/** The content of a set, as hashes: what its results depend on. */
export async function hashesOf(dataset: BeirDataset, split: string, signal?: AbortSignal) {
  return {
    corpus: await dataset.corpusHash(signal),
    queries: await cachedSha256(await dataset.queriesFile(), signal),
    qrels: await cachedSha256(await dataset.qrelsFile(split), signal),
    excluded: (await isThere(join(dataset.folder, EXCLUDED_FILE)))
      ? await cachedSha256(join(dataset.folder, EXCLUDED_FILE), signal)
      : undefined,
  };
}
