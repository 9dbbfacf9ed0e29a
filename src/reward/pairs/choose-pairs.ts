import type { PairSettings } from './pair-settings.ts';

/** A candidate, as needed to choose pairs. */
export interface Choosable {
  id: string;
  index: number;
  text: string;
  /** Its words; see `wordsOf`. */
  words: readonly string[];
  reward: number;
  /** Whether it quotes the gold document. */
  quotes: boolean;
}

export interface ChosenPair<T extends Choosable = Choosable> {
  chosen: T;
  rejected: T;
}

/** Why a query gave no pair, in the order of the checks. */
export const UNPAIRED = [
  'fewer than two distinct texts',
  'all rewards equal',
  'margin below the minimum',
  'chosen side quotes the gold document',
  'no two sides of similar length',
  'sides too similar',
] as const;
export type Unpaired = (typeof UNPAIRED)[number];

export type PairChoice<T extends Choosable> =
  | { pairs: ChosenPair<T>[]; reason?: undefined }
  | { pairs: []; reason: Unpaired };

type Policy = Pick<PairSettings, 'pairsPerQuery' | 'minMargin' | 'maxLengthRatio' | 'maxOverlap' | 'dropQuotes'>;

/**
 * Chooses the pairs of a query. Among all pairs of candidates that the settings allow, it takes the one with the
 * largest margin, then the next whose sides are both unused, up to `pairsPerQuery`. With the published settings this
 * pairs the best candidate with the worst. Of equal texts only the first counts. If rewards tie, the lower index wins,
 * on either side.
 */
export function choosePairs<T extends Choosable>(candidates: readonly T[], policy: Policy): PairChoice<T> {
  const distinct = [...new Map([...candidates].reverse().map((one) => [one.text, one])).values()];
  if (distinct.length < 2) return { pairs: [], reason: 'fewer than two distinct texts' };
  let allowed = distinct.flatMap((chosen) =>
    distinct.filter(({ reward }) => reward < chosen.reward).map((rejected) => ({ chosen, rejected })),
  );
  if (allowed.length === 0) return { pairs: [], reason: 'all rewards equal' };
  for (const [reason, test] of rules(policy)) {
    allowed = allowed.filter(test);
    if (allowed.length === 0) return { pairs: [], reason };
  }
  return { pairs: largestMargins(allowed, policy.pairsPerQuery) };
}

function rules({ minMargin, dropQuotes, maxLengthRatio, maxOverlap }: Policy) {
  const list: [reason: Unpaired, test: (pair: ChosenPair) => boolean][] = [];
  if (minMargin > 0) list.push(['margin below the minimum', (pair) => marginOf(pair) >= minMargin]);
  if (dropQuotes) list.push(['chosen side quotes the gold document', ({ chosen }) => !chosen.quotes]);
  if (maxLengthRatio !== undefined) {
    list.push(['no two sides of similar length', (pair) => lengthRatio(pair) <= maxLengthRatio]);
  }
  if (maxOverlap < 1) list.push(['sides too similar', (pair) => commonWords(pair) <= maxOverlap]);
  return list;
}

/** The reward of the chosen side minus that of the rejected one. */
export function marginOf({ chosen, rejected }: ChosenPair): number {
  return chosen.reward - rejected.reward;
}

/** The number of words of the longer side divided by that of the shorter one. */
function lengthRatio({ chosen, rejected }: ChosenPair): number {
  const [a, b] = [Math.max(1, chosen.words.length), Math.max(1, rejected.words.length)];
  return Math.max(a, b) / Math.min(a, b);
}

/** The number of distinct words in both sides divided by the number in either (Jaccard). */
function commonWords({ chosen, rejected }: ChosenPair): number {
  const [a, b] = [new Set(chosen.words), new Set(rejected.words)];
  const common = [...a].filter((word) => b.has(word)).length;
  return common / Math.max(1, a.size + b.size - common);
}

function largestMargins<T extends Choosable>(allowed: ChosenPair<T>[], count: number): ChosenPair<T>[] {
  const sorted = allowed.sort(
    (a, b) => marginOf(b) - marginOf(a) || a.chosen.index - b.chosen.index || a.rejected.index - b.rejected.index,
  );
  const pairs: ChosenPair<T>[] = [];
  const used = new Set<Choosable>();
  for (const pair of sorted) {
    if (pairs.length === count) break;
    if (used.has(pair.chosen) || used.has(pair.rejected)) continue;
    used.add(pair.chosen).add(pair.rejected);
    pairs.push(pair);
  }
  return pairs;
}
