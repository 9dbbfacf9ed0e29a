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

/** Rewards that need only the candidate set. */
const SIMPLE: Record<string, () => Reward> = {
  'rank-gold': () => new RankReward('gold'),
  'rank-answer': () => new RankReward('answer'),
  'similarity-gold': () => new SimilarityReward('gold'),
  'similarity-answer': () => new SimilarityReward('answer'),
  'zScore-gold': () => new ZScoreReward('gold'),
  'zScore-answer': () => new ZScoreReward('answer'),
};
/** Former names of rewards. */
const RENAMED: RenamedSettings = { 'margin-gold': 'zScore-gold', 'margin-answer': 'zScore-answer' };
const SEARCH_PREFIX = 'change-';

/** A named reward with its weight. */
export interface NamedReward {
  /** Its name in files of rewards. */
  name: string;
  weight: number;
  kind: 'of the set' | 'search' | 'own';
  /** Undefined for a module whose code was not run. */
  needsAnswer: boolean | undefined;
  /** Content key of everything that determines its values in addition to the candidates and the corpus. */
  fingerprint: string;
}

export interface RewardChoice extends RetrievalSettings {
  /** Each as NAME or NAME=WEIGHT. */
  reward: readonly string[];
  retriever: 'dense' | 'bm25' | 'rrf';
  /** Provides the corpus and judgements for search rewards. */
  dataset?: string | undefined;
  split: string;
}

export interface RewardOpening {
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** The opened rewards; `close` ends the search threads. */
export interface OpenedRewards {
  mixture: WeightedReward[];
  close(): Promise<void>;
}

/**
 * Opens the rewards that `--reward` names: `rank-gold`, `similarity-answer` and so on, `change-MEASURE` for a search of
 * the corpus, or a JavaScript module.
 *
 * @param search searches the data set's corpus, if there is a data set
 * @throws UsageError for an unknown reward or a search reward without a data set
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
 * Checks what the rewards need before a run starts that will use them.
 *
 * @param reward NAME or NAME=WEIGHT each
 * @param options.isJudged whether the training queries come from a data set, with judgements
 * @param options.isAnswered whether there will be answers
 * @param options.loadsCode whether custom modules are loaded, which runs their code; otherwise they are only hashed
 * @throws UsageError if no reward is named, a reward or measure is unknown, a search reward has no data set, a reward
 * reads answers and there are none, or a module cannot be loaded; DataError if a module does not exist
 */
export async function checkRewards(
  reward: readonly string[],
  { isJudged, isAnswered, loadsCode }: { isJudged: boolean; isAnswered: boolean; loadsCode: boolean },
): Promise<NamedReward[]> {
  if (reward.length === 0) {
    throw new UsageError('no reward has a weight other than 0', {
      fix: 'Set the weight of at least one reward to another number than 0.',
    });
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

/** The modules among the rewards; opening them runs their code. @param reward each as NAME or NAME=WEIGHT */
export function modulesAmong(reward: readonly string[]): string[] {
  return reward.map((words) => splitWeight(words).name).filter((name) => kindOf(name) === 'own');
}

/** @throws UsageError if the name is not a reward */
function kindOf(name: string): NamedReward['kind'] {
  if (Object.hasOwn(SIMPLE, name)) return 'of the set';
  if (/\.(m|c)?[jt]s$/.test(name)) return 'own';
  if (name.startsWith(SEARCH_PREFIX)) return 'search';
  const old = renamedSetting(name, RENAMED);
  if (old !== undefined) throw new UsageError(`reward ${old.message}`, { fix: old.fix });
  throw new UsageError(`there is no reward ${JSON.stringify(name)}`, {
    fix: `Use one of ${Object.keys(SIMPLE).join(', ')}, change-MEASURE (such as change-nDCG@10), or a JavaScript module (./mine.mjs).`,
  });
}

/** `rank-gold=0.5` weights `rank-gold` by 0.5; the default weight is 1. */
function splitWeight(words: string): { name: string; weight: number } {
  const [, name = words, digits] = /^(.*?)(?:=([^=]*))?$/s.exec(words) ?? [];
  const weight = digits === undefined ? 1 : digits.trim() === '' ? Number.NaN : Number(digits);
  if (Number.isFinite(weight)) return { name, weight };
  throw new UsageError(`--reward ${words}: ${JSON.stringify(digits)} is not a weight`, {
    fix: 'Write NAME=NUMBER, such as rank-gold=0.5.',
  });
}

function unsearchable(reward: string): UsageError {
  return new UsageError(`reward ${reward} searches a corpus with judgements, but triples have none`, {
    fix: 'Take the training queries from a data set instead of triples, or choose another reward.',
  });
}

function unanswered(reward: string): UsageError {
  return new UsageError(`reward ${reward} reads answers, but there are none`, {
    fix: 'Run `llm-qe answers` first, or choose rewards that read no answers.',
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
  if (alpha === 'joined') {
    throw new UsageError(
      'a search reward weighs the vectors of query and candidate, which are not joined in one text',
      {
        fix: 'Pass a number or mean as --alpha.',
      },
    );
  }
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
