import type { AnswerRecord, CandidateRecord, RewardRecord, TrainingQuery } from '../../data/index.ts';
import { kendallTau } from '../../measures/index.ts';
import { deriveSeed } from '../../system/index.ts';
import type { GoldDocument } from '../rewards/candidate-set.ts';
import type { AuditExample, AuditQuote, RewardAudit, TemperatureShare } from './audit-types.ts';
import { type Choosable, type ChosenPair, marginOf } from './choose-pairs.ts';
import { type Distribution, describe } from './distribution.ts';
import type { DrawnPart } from './draw.ts';
import { GoldWords, wordsOf } from './quoting.ts';

/** A query with its rewarded candidates and everything joined to it. */
export interface RewardedQuery {
  query: TrainingQuery;
  gold: readonly GoldDocument[];
  answer: AnswerRecord | undefined;
  candidates: readonly RewardedCandidate[];
}

/** A candidate, its rewards, and its overlap with the gold document. */
export interface RewardedCandidate extends Choosable {
  record: CandidateRecord;
  reward: number;
  earned: RewardRecord;
  overlap: number;
}

/** Joins a query's candidates with their rewards and detects quotations. */
export function examineQuery(
  query: TrainingQuery,
  gold: readonly GoldDocument[],
  answer: AnswerRecord | undefined,
  candidates: readonly { record: CandidateRecord; earned: RewardRecord }[],
): { rewarded: RewardedQuery; goldWords: GoldWords } {
  const goldWords = new GoldWords(
    gold.map(({ text }) => text),
    query.text,
  );
  const examined = candidates.map(({ record, earned }): RewardedCandidate => {
    const words = wordsOf(record.text);
    return {
      id: record.candidateId,
      index: record.index,
      text: record.text,
      words,
      reward: earned.total,
      quotes: goldWords.isQuotedIn(words),
      overlap: goldWords.overlap(words),
      record,
      earned,
    };
  });
  return { rewarded: { query, gold, answer, candidates: examined }, goldWords };
}

const EXAMPLES = 6;
const QUOTES = 4;

/** Collects the audit while the queries stream by. It keeps numbers and a few examples. */
export class AuditLog {
  readonly #seed: number;
  readonly #spread = new Map<string, number[]>();
  readonly #bestSimilarity: number[] = [];
  readonly #tau: number[] = [];
  readonly #temperatures = new Map<number, TemperatureShare>();
  readonly #margin: number[] = [];
  readonly #chosenWords: number[] = [];
  readonly #rejectedWords: number[] = [];
  readonly #sides = { longer: 0, shorter: 0, chosenQuotes: 0, rejectedQuotes: 0 };
  readonly #candidates = { count: 0, duplicates: 0, quoting: 0, queriesQuoting: 0, overlap: 0 };
  readonly #answers = { count: 0, copied: 0, overlap: 0 };
  readonly #examples = new Lowest<AuditExample>(EXAMPLES);
  readonly #quotes = new Lowest<AuditQuote>(QUOTES);
  #answered = false;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /**
   * Adds a query, whether or not it gives a pair.
   *
   * @param similarity its best similarity, as the filter uses it
   */
  addQuery({ query, gold, answer, candidates }: RewardedQuery, goldWords: GoldWords, similarity: number): void {
    this.#addCandidates(candidates);
    this.#addSpread(candidates);
    this.#bestSimilarity.push(similarity);
    const distinct = [...new Map(candidates.map((one) => [one.text, one.earned.ranks])).values()];
    if (distinct.every(({ gold, answer }) => gold !== undefined && answer !== undefined)) {
      this.#answered = true;
      const tau = kendallTau(
        distinct.map(({ gold }) => gold!),
        distinct.map(({ answer }) => answer!),
      );
      if (tau !== undefined) this.#tau.push(tau);
    }
    if (answer !== undefined) {
      const words = wordsOf(answer.text);
      this.#answers.count++;
      this.#answers.overlap += goldWords.overlap(words);
      if (goldWords.isCopiedIn(words)) this.#answers.copied++;
    }
    const quoting = candidates.find(({ quotes }) => quotes);
    if (quoting === undefined) return;
    this.#candidates.queriesQuoting++;
    const entry = { queryId: query.id, query: query.text, gold: textsOf(gold), text: quoting.text };
    this.#quotes.offer(deriveSeed(this.#seed, 'quotes', query.id), entry);
  }

  /** Adds a drawn pair. */
  addPair({ query, gold, answer }: RewardedQuery, pair: ChosenPair<RewardedCandidate>, part: DrawnPart['part']): void {
    const { chosen, rejected } = pair;
    this.#addSides(pair);
    this.#examples.offer(deriveSeed(this.#seed, 'examples', query.id, chosen.id), {
      queryId: query.id,
      query: query.text,
      gold: textsOf(gold),
      answer: answer?.text,
      chosen: sideOf(chosen),
      rejected: sideOf(rejected),
      part,
    });
  }

  /** Returns the finished audit. */
  finish(
    rest: Pick<RewardAudit, 'rewarding' | 'settings' | 'threshold' | 'similarity' | 'queries' | 'pairs'>,
  ): RewardAudit {
    const { count, duplicates, quoting, queriesQuoting, overlap } = this.#candidates;
    const drawn = Math.max(1, this.#margin.length);
    const byTemperature = [...this.#temperatures.values()].sort((a, b) => a.temperature - b.temperature);
    return {
      ...rest,
      candidates: {
        count,
        duplicates: share(duplicates, count),
        quoting: share(quoting, count),
        queriesQuoting,
        overlap: share(overlap, count),
        byTemperature: byTemperature.map((one) => ({ ...one, meanReward: share(one.meanReward, one.candidates) })),
      },
      rewards: {
        spread: Object.fromEntries([...this.#spread].map(([name, values]) => [name, describe(values)])),
        bestSimilarity: describe(this.#bestSimilarity),
      },
      agreement: this.#answered ? describe(this.#tau, 20, [-1, 1]) : undefined,
      answers: {
        count: this.#answers.count,
        copied: share(this.#answers.copied, this.#answers.count),
        overlap: share(this.#answers.overlap, this.#answers.count),
      },
      sides: {
        margin: describe(this.#margin),
        ...this.#lengths(),
        chosenLonger: this.#sides.longer / drawn,
        chosenShorter: this.#sides.shorter / drawn,
        chosenQuotes: this.#sides.chosenQuotes / drawn,
        rejectedQuotes: this.#sides.rejectedQuotes / drawn,
      },
      examples: this.#examples.list(),
      quotes: this.#quotes.list(),
    };
  }

  /** Uses the same bins for both, so their histograms can be overlaid. */
  #lengths(): { chosenWords: Distribution; rejectedWords: Distribution } {
    const longest = this.#chosenWords.concat(this.#rejectedWords).reduce((max, words) => Math.max(max, words), 1);
    return {
      chosenWords: describe(this.#chosenWords, 20, [0, longest]),
      rejectedWords: describe(this.#rejectedWords, 20, [0, longest]),
    };
  }

  #addCandidates(candidates: readonly RewardedCandidate[]): void {
    const counts = this.#candidates;
    counts.count += candidates.length;
    counts.duplicates += candidates.length - new Set(candidates.map(({ text }) => text)).size;
    for (const { quotes, overlap, record, reward } of candidates) {
      if (quotes) counts.quoting++;
      counts.overlap += overlap;
      const share = this.#temperature(record.temperature);
      share.candidates++;
      share.meanReward += reward;
    }
  }

  #addSpread(candidates: readonly RewardedCandidate[]): void {
    const add = (name: string, values: readonly number[]) => {
      const list = this.#spread.get(name) ?? [];
      list.push(Math.max(...values) - Math.min(...values));
      this.#spread.set(name, list);
    };
    for (const name of Object.keys(candidates[0]?.earned.rewards ?? {})) {
      add(
        name,
        candidates.map(({ earned }) => earned.rewards[name] ?? 0),
      );
    }
    add(
      'total',
      candidates.map(({ reward }) => reward),
    );
  }

  #addSides(pair: ChosenPair<RewardedCandidate>): void {
    const { chosen, rejected } = pair;
    this.#temperature(chosen.record.temperature).chosen++;
    this.#temperature(rejected.record.temperature).rejected++;
    this.#margin.push(marginOf(pair));
    this.#chosenWords.push(chosen.words.length);
    this.#rejectedWords.push(rejected.words.length);
    if (chosen.words.length > rejected.words.length) this.#sides.longer++;
    if (chosen.words.length < rejected.words.length) this.#sides.shorter++;
    if (chosen.quotes) this.#sides.chosenQuotes++;
    if (rejected.quotes) this.#sides.rejectedQuotes++;
  }

  #temperature(temperature: number): TemperatureShare {
    const known = this.#temperatures.get(temperature);
    if (known !== undefined) return known;
    const made = { temperature, candidates: 0, meanReward: 0, chosen: 0, rejected: 0 };
    this.#temperatures.set(temperature, made);
    return made;
  }
}

/** Keeps the entries with the lowest keys: a sample that does not depend on the order of arrival. */
class Lowest<T> {
  readonly #size: number;
  #entries: { key: number; value: T }[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  offer(key: number, value: T): void {
    this.#entries.push({ key, value });
    this.#entries.sort((a, b) => a.key - b.key);
    this.#entries.length = Math.min(this.#entries.length, this.#size);
  }

  list(): T[] {
    return this.#entries.map(({ value }) => value);
  }
}

function sideOf({ text, reward, quotes }: RewardedCandidate): AuditExample['chosen'] {
  return { text, reward, quotes };
}

function textsOf(gold: readonly GoldDocument[]): string {
  return gold.map(({ text }) => text).join('\n');
}

function share(part: number, whole: number): number {
  return part / Math.max(1, whole);
}
