import { deriveSeed, Random } from '../../system/index.ts';
import type { MiningSettings } from './settings.ts';

/** Why a candidate is not a negative, in the order in which it is asked. */
export const DROP_REASONS = [
  'blank',
  'relevant',
  'equalText',
  'query',
  'repeated',
  'absoluteMargin',
  'relativeMargin',
  'maxScore',
  'minScore',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];
export type DropCounts = Record<DropReason, number>;

/** Why candidates are dropped, for people. */
export const DROP_WORDS: Record<DropReason, string> = {
  blank: 'without text',
  relevant: 'judged relevant to the query',
  equalText: 'equal in text to a relevant document',
  query: 'equal to the query',
  repeated: 'equal in text to another negative',
  absoluteMargin: 'too similar by --absolute-margin',
  relativeMargin: 'too similar by --relative-margin',
  maxScore: 'above --max-score',
  minScore: 'below --min-score',
};

export function noDrops(): DropCounts {
  return Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as DropCounts;
}

/** A document that was found for a query. */
export interface Candidate {
  /** Its number in the corpus. */
  row: number;
  /** By the encoder, or by BM25 alone; undefined if no setting asks for it. */
  score: number | undefined;
  /** Why it cannot be a negative whatever its score. */
  fault: 'blank' | 'relevant' | 'equalText' | 'query' | 'repeated' | undefined;
}

/**
 * Chooses the negatives of one query. As in sentence-transformers, the range of ranks counts what the filters leave.
 * @param candidates best first
 * @param positive similarity of the row's least similar positive, if a margin asks for it
 * @param id of the row, from which the seed of the choice is derived
 */
export function chooseNegatives(
  candidates: readonly Candidate[],
  positive: number | undefined,
  settings: MiningSettings & { rangeMin: number; rangeMax: number },
  id: string,
): { chosen: Candidate[]; dropped: DropCounts } {
  const dropped = noDrops();
  const left = candidates.filter((candidate) => {
    const reason = candidate.fault ?? scoreFault(candidate.score, positive, settings);
    if (reason !== undefined) dropped[reason]++;
    return reason === undefined;
  });
  const { rangeMin, rangeMax, negatives, sampling, seed } = settings;
  const range = left.slice(rangeMin, rangeMax);
  if (sampling === 'top') return { chosen: range.slice(0, negatives), dropped };
  const order = range.map((_candidate, at) => at);
  const drawn = new Random(deriveSeed(seed, 'negatives', id)).shuffle(order).slice(0, negatives);
  return { chosen: drawn.sort((a, b) => a - b).map((at) => range[at]!), dropped };
}

function scoreFault(
  score: number | undefined,
  positive: number | undefined,
  { absoluteMargin, relativeMargin, maxScore, minScore }: MiningSettings,
): DropReason | undefined {
  if (score === undefined) return undefined;
  if (absoluteMargin !== undefined && score + absoluteMargin > positive!) return 'absoluteMargin';
  // Of a negative similarity, a part is taken away, too: 1 - X times it would be greater than it.
  if (relativeMargin !== undefined && score > positive! - Math.abs(positive!) * relativeMargin) return 'relativeMargin';
  if (maxScore !== undefined && score > maxScore) return 'maxScore';
  return minScore !== undefined && score < minScore ? 'minScore' : undefined;
}
