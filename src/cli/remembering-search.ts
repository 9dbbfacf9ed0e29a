import type { BeirDataset } from '../data/index.ts';
import type { Encoder } from '../embed/index.ts';
import { ModelStore } from '../models/index.ts';
import {
  CorpusSearch,
  openEncoder,
  type RetrievalSettings,
  type Retriever,
  rememberingEncoder,
} from '../retrieve/index.ts';
import type { CommandContext } from './command.ts';

/**
 * Opens an encoder that remembers vectors, for commands that embed the same texts more than once; undefined for a lexical search. The
 * corpora are checked first.
 */
export async function openRemembering(
  kind: Retriever['name'],
  datasets: readonly BeirDataset[],
  settings: RetrievalSettings,
  { signal, progress }: Pick<CommandContext, 'signal' | 'progress'>,
): Promise<Encoder | undefined> {
  for (const dataset of datasets) await new CorpusSearch(dataset, settings, { signal, progress }).checkCorpus();
  if (kind === 'bm25') return undefined;
  const store = new ModelStore({ offline: settings.offline, progress });
  return rememberingEncoder(await openEncoder(settings, store, signal, progress));
}
