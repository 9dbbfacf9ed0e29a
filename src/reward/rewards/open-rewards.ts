import { BeirDataset } from '../../data/index.ts';
import { encodeCorpus, VECTOR_CACHE } from '../../embed/index.ts';
import { parseQualityMeasure } from '../../measures/index.ts';
import type { CorpusSearch, RetrievalSettings } from '../../retrieve/index.ts';
import { ExactIndex } from '../../search/index.ts';
import { contentKey, type Progress, type RenamedSettings, renamedSetting, UsageError } from '../../system/index.ts';
import { inspectReward, loadReward } from './own-reward.ts';
import type { Reward, WeightedReward } from './reward.ts';
import {
  type CandidateSearch,
  DenseCandidateSearch,
  RetrieverCandidateSearch,
  SearchReward,
  searchFingerprint,
} from './search-reward.ts';
import { RankReward, SimilarityReward, ZScoreReward } from './target-rewards.ts';

/** Rewards that need nothing but the candidate set. */
const SIMPLE: Record<string, () => Reward> = {
  'rank-gold': () => new RankReward('gold'),
  'rank-answer': () => new RankReward('answer'),
  'similarity-gold': () => new SimilarityReward('gold'),
  'similarity-answer': () => new SimilarityReward('answer'),
  'zScore-gold': () => new ZScoreReward('gold'),
  'zScore-answer': () => new ZScoreReward('answer'),
};
/** Names that rewards had before. */
const RENAMED: RenamedSettings = { 'margin-gold': 'zScore-gold', 'margin-answer': 'zScore-answer' };
const SEARCH_PREFIX = 'change-';

/** A reward that is named, its weight with it. */
export interface NamedReward {
  /** As files of rewards name it. */
  name: string;
  weight: number;
  kind: 'of the set' | 'search' | 'own';
  /** Unknown of a module whose code was not run. */
  needsAnswer: boolean | undefined;
  /** Content key of all that decides its numbers beside the candidates and the corpus. */
  fingerprint: string;
}

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
    const kind = kindOf(name);
    if (kind === 'of the set') mixture.push({ reward: SIMPLE[name]!(), weight });
    else if (kind === 'own') mixture.push({ reward: await loadReward(name), weight });
    else {
      if (given.dataset === undefined) throw unsearchable(name);
      const dataset = await BeirDataset.open(given.dataset);
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

/**
 * Looks at what the rewards need, before a run begins that ends in them.
 *
 * @param reward NAME or NAME=WEIGHT each
 * @param options.isJudged whether the training queries are those of a data set, with judgements
 * @param options.isAnswered whether there will be answers
 * @param options.loadsCode whether modules of one's own are loaded, which runs their code; else they are only hashed
 * @throws UsageError where none is named, for an unknown reward or measure, a search reward without a data set, a reward that reads
 *   answers where there are none, and a module that cannot be loaded; DataError where there is no such module
 */
export async function checkRewards(
  reward: readonly string[],
  { isJudged, isAnswered, loadsCode }: { isJudged: boolean; isAnswered: boolean; loadsCode: boolean },
): Promise<NamedReward[]> {
  if (reward.length === 0) {
    throw new UsageError('no reward counts', { fix: 'Give at least one of them a weight other than 0.' });
  }
  const named: NamedReward[] = [];
  for (const words of reward) {
    const { name, weight } = splitWeight(words);
    const kind = kindOf(name);
    if (kind === 'search') parseQualityMeasure(name.slice(SEARCH_PREFIX.length));
    if (kind === 'search' && !isJudged) throw unsearchable(name);
    const { needsAnswer, ...known } = await factsOf(name, kind, loadsCode);
    if (needsAnswer && !isAnswered) throw unanswered(name);
    named.push({ ...known, weight, kind, needsAnswer });
  }
  return named;
}

async function factsOf(
  name: string,
  kind: NamedReward['kind'],
  loadsCode: boolean,
): Promise<Pick<NamedReward, 'name' | 'fingerprint' | 'needsAnswer'>> {
  if (kind === 'search') return { name, needsAnswer: false, fingerprint: searchFingerprint() };
  if (kind === 'own' && !loadsCode) return { ...(await inspectReward(name)), needsAnswer: undefined };
  const reward = kind === 'own' ? await loadReward(name) : SIMPLE[name]!();
  return { name: reward.name, fingerprint: reward.fingerprint, needsAnswer: reward.needsAnswer };
}

/** The modules among rewards, whose code runs when they are opened. @param reward NAME or NAME=WEIGHT each */
export function modulesAmong(reward: readonly string[]): string[] {
  return reward.map((words) => splitWeight(words).name).filter((name) => kindOf(name) === 'own');
}

/** @throws UsageError for a name that is none */
function kindOf(name: string): NamedReward['kind'] {
  if (Object.hasOwn(SIMPLE, name)) return 'of the set';
  if (/\.(m|c)?[jt]s$/.test(name)) return 'own';
  if (name.startsWith(SEARCH_PREFIX)) return 'search';
  const old = renamedSetting(name, RENAMED);
  if (old !== undefined) throw new UsageError(`reward ${old.message}`, { fix: old.fix });
  throw new UsageError(`there is no reward ${JSON.stringify(name)}`, {
    fix: `Choose among ${Object.keys(SIMPLE).join(', ')}, change-MEASURE (such as change-nDCG@10), or a JavaScript module (./mine.mjs).`,
  });
}

/** `rank-gold=0.5` is half of `rank-gold`; without a weight it is whole. */
function splitWeight(words: string): { name: string; weight: number } {
  const [, name = words, digits] = /^(.*?)(?:=([^=]*))?$/s.exec(words) ?? [];
  const weight = digits === undefined ? 1 : digits.trim() === '' ? Number.NaN : Number(digits);
  if (Number.isFinite(weight)) return { name, weight };
  throw new UsageError(`--reward ${words}: ${JSON.stringify(digits)} is not a weight`, {
    fix: 'Write NAME=NUMBER, such as rank-gold=0.5.',
  });
}

function unsearchable(reward: string): UsageError {
  return new UsageError(`reward ${reward} searches a corpus with judgements, and triples have none`, {
    fix: 'Take the training queries from a data set in place of triples, or choose another reward.',
  });
}

function unanswered(reward: string): UsageError {
  return new UsageError(`reward ${reward} reads answers, and there are none`, {
    fix: 'Have answers written, or choose rewards without answers.',
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
    return new RetrieverCandidateSearch(await search.retriever(given.retriever), corpusHash, () =>
      idsOf(dataset, signal),
    );
  }
  const encoder = await search.encoder();
  const { similarity, threads, alpha } = given;
  const vectors = await encodeCorpus(encoder, dataset.documents(signal), {
    folder: VECTOR_CACHE.folder(),
    corpusHash,
    count: () => dataset.count(signal),
    signal,
    progress,
  });
  closing.push(() => vectors.close());
  const index = await ExactIndex.open(vectors, { similarity, threads });
  closing.unshift(() => index.close());
  const fingerprint = contentKey({ encoder: encoder.fingerprint, corpus: corpusHash, similarity });
  return new DenseCandidateSearch(index, { alpha, fingerprint, ids: () => vectors.ids });
}

async function* idsOf(dataset: BeirDataset, signal: AbortSignal | undefined): AsyncGenerator<string> {
  for await (const { id } of dataset.documents(signal)) yield id;
}
