import { join } from 'node:path';
import { BeirDataset } from '../data/index.ts';
import { encodeCorpus } from '../embed/index.ts';
import type { CorpusSearch, RetrievalSettings } from '../evaluate/index.ts';
import {
  type CandidateSearch,
  DenseCandidateSearch,
  loadReward,
  MarginReward,
  RankReward,
  RetrieverCandidateSearch,
  type Reward,
  SearchReward,
  SimilarityReward,
  type WeightedReward,
} from '../reward/index.ts';
import { ExactIndex } from '../search/index.ts';
import { cacheHome, contentKey, type Progress, UsageError } from '../system/index.ts';

/** Rewards that need nothing but the candidate set. */
const SIMPLE: Record<string, () => Reward> = {
  'rank-gold': () => new RankReward('gold'),
  'rank-answer': () => new RankReward('answer'),
  'similarity-gold': () => new SimilarityReward('gold'),
  'similarity-answer': () => new SimilarityReward('answer'),
  'margin-gold': () => new MarginReward('gold'),
  'margin-answer': () => new MarginReward('answer'),
};
const SEARCH_PREFIX = 'change-';

export interface RewardChoice extends RetrievalSettings {
  /** NAME or NAME=WEIGHT each. */
  reward: readonly string[];
  retriever: 'dense' | 'bm25' | 'rrf';
  /** Its corpus and judgements are those of the search rewards. */
  dataset?: string | undefined;
  split: string;
}

export interface RewardOpening {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** What was opened; `close` ends the search threads. */
export interface OpenedRewards {
  mixture: WeightedReward[];
  close(): Promise<void>;
}

/**
 * Opens what `--reward` names: `rank-gold`, `similarity-answer` and the like, `change-MEASURE` for a search of the corpus, or a
 * JavaScript module.
 *
 * @param search the data set's, where there is a data set
 * @throws UsageError for an unknown reward, and for a search reward without a data set
 */
export async function openRewards(
  given: RewardChoice,
  search: CorpusSearch | undefined,
  options: RewardOpening,
): Promise<OpenedRewards> {
  const mixture: WeightedReward[] = [];
  const closing: (() => Promise<void>)[] = [];
  let candidateSearch: Promise<CandidateSearch> | undefined;
  for (const words of given.reward) {
    const { name, weight } = splitWeight(words);
    if (Object.hasOwn(SIMPLE, name)) mixture.push({ reward: SIMPLE[name]!(), weight });
    else if (/\.(m|c)?[jt]s$/.test(name)) mixture.push({ reward: await loadReward(name), weight });
    else if (!name.startsWith(SEARCH_PREFIX)) throw unknownReward(name);
    else {
      const dataset = await searchedDataset(name, given);
      candidateSearch ??= openCandidateSearch(given, dataset, search!, options, closing);
      const qrels = await dataset.qrels(given.split, options.signal);
      const measure = name.slice(SEARCH_PREFIX.length);
      const reward = new SearchReward(measure, await candidateSearch, qrels, { dropSelf: !given.keepSelf });
      mixture.push({ reward, weight });
    }
  }
  return {
    mixture,
    async close() {
      for (const close of closing) await close();
    },
  };
}

/** `rank-gold=0.5` is half of `rank-gold`; without a weight it is whole. */
function splitWeight(words: string): { name: string; weight: number } {
  const [, name = words, digits] = /^(.*?)(?:=([^=]*))?$/s.exec(words) ?? [];
  const weight = digits === undefined ? 1 : digits.trim() === '' ? Number.NaN : Number(digits);
  if (Number.isFinite(weight)) return { name, weight };
  throw new UsageError(`--reward ${words}: ${JSON.stringify(digits)} is not a weight`, {
    mend: 'Write NAME=NUMBER, such as rank-gold=0.5.',
  });
}

function unknownReward(name: string): UsageError {
  return new UsageError(`there is no reward ${JSON.stringify(name)}`, {
    mend: `Choose among ${Object.keys(SIMPLE).join(', ')}, change-MEASURE (such as change-nDCG@10), or a JavaScript module (./mine.mjs).`,
  });
}

async function searchedDataset(reward: string, { dataset }: RewardChoice): Promise<BeirDataset> {
  if (dataset !== undefined) return BeirDataset.open(dataset);
  throw new UsageError(`reward ${reward} searches a corpus, and triples have none`, {
    mend: 'Name a data set (--dataset), or choose another reward.',
  });
}

async function openCandidateSearch(
  given: RewardChoice,
  dataset: BeirDataset,
  search: CorpusSearch,
  { signal, progress }: RewardOpening,
  closing: (() => Promise<void>)[],
): Promise<CandidateSearch> {
  const corpusHash = await dataset.corpusHash(signal);
  if (given.retriever !== 'dense') {
    return new RetrieverCandidateSearch(await search.retriever(given.retriever), corpusHash);
  }
  const encoder = await search.encoder();
  const { similarity, threads, alpha } = given;
  const vectors = await encodeCorpus(encoder, dataset.documents(signal), {
    folder: join(cacheHome(), 'vectors'),
    corpusHash,
    count: () => dataset.count(signal),
    signal,
    progress,
  });
  closing.push(() => vectors.close());
  const index = await ExactIndex.open(vectors, { similarity, threads });
  closing.unshift(() => index.close());
  const fingerprint = contentKey({ encoder: encoder.fingerprint, corpus: corpusHash, similarity });
  return new DenseCandidateSearch(index, { alpha, fingerprint });
}
