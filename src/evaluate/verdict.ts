import { counted } from '../system/index.ts';
import type { Comparison } from './comparison.ts';

/** What a comparison shows: a real gain, a real loss, no difference, or nothing because there are too few queries. */
export type VerdictKind = 'gain' | 'loss' | 'none' | 'few';

/** What a comparison shows, in words. */
export interface Verdict {
  kind: VerdictKind;
  /** `a real gain`. */
  name: string;
  /** `helped 62 queries, hurt 38 of 200: a real gain`. */
  words: string;
  /** One or two sentences that give the reason. */
  reason: string;
}

/**
 * The thresholds of a verdict:
 * - below `leastQueries`, there is never a gain or a loss;
 * - below `fewQueries`, a difference counts only if p is below `strictP`, because over so few queries a test easily gets
 *   size and sign wrong;
 * - otherwise, a difference counts if p is below `p`.
 *
 * In each case, the 95 % bootstrap interval must also be on one side of 0. p is from the randomisation test, with Holm's
 * correction if a table holds several comparisons.
 */
export const VERDICT_THRESHOLDS = { leastQueries: 20, fewQueries: 50, p: 0.05, strictP: 0.01 } as const;

const NAMES: Record<VerdictKind, string> = {
  gain: 'a real gain',
  loss: 'a real loss',
  none: 'no difference shown',
  few: 'too few queries to tell',
};

/** The input of a verdict; every {@link Comparison} has it. */
export type Judgeable = Pick<
  Comparison,
  'delta' | 'interval' | 'randomization' | 'holm' | 'helped' | 'hurt' | 'unchanged' | 'measure'
>;

/** Decides what a comparison shows, by {@link VERDICT_THRESHOLDS}. All verdicts come from here. */
export function verdictOn(compared: Judgeable): Verdict {
  const kind = judge(compared);
  const { helped, hurt } = compared;
  const noun = helped === 1 ? 'query' : 'queries';
  const words = `helped ${format(helped)} ${noun}, hurt ${format(hurt)} of ${format(queriesOf(compared))}: ${NAMES[kind]}`;
  return { kind, name: NAMES[kind], words, reason: explain(kind, compared) };
}

function queriesOf({ helped, hurt, unchanged }: Judgeable): number {
  return helped + hurt + unchanged;
}

function pOf({ holm, randomization }: Judgeable): number {
  return holm ?? randomization;
}

function judge(compared: Judgeable): VerdictKind {
  const { leastQueries, fewQueries, p, strictP } = VERDICT_THRESHOLDS;
  const [low, high] = compared.interval;
  const queries = queriesOf(compared);
  const isFew = queries < fewQueries;
  const isClear = pOf(compared) < (isFew ? strictP : p) && (low > 0 || high < 0) && queries >= leastQueries;
  if (isClear) return compared.delta > 0 ? 'gain' : 'loss';
  return isFew ? 'few' : 'none';
}

function explain(kind: VerdictKind, compared: Judgeable): string {
  const { measure, delta, interval } = compared;
  const range = `the true mean change probably lies between ${signed(interval[0])} and ${signed(interval[1])}`;
  const mean = `On average ${measure} changed by ${signed(delta)}; ${range}.`;
  if (kind === 'few') {
    const queries = queriesOf(compared);
    return `${mean} Over ${counted(queries, 'query')} chance alone moves the mean so much that this shows nothing: use at least ${VERDICT_THRESHOLDS.fewQueries}, better 200.`;
  }
  const p = pOf(compared);
  const chance = `If there were no difference, chance would give one this large ${odds(p)} (p ${p < 0.0001 ? '< 0.0001' : p.toFixed(4)})`;
  if (kind === 'none') return `${mean} ${chance}: that does not rule out chance.`;
  return `${mean} ${chance}.`;
}

function odds(p: number): string {
  if (p < 0.001) return 'in fewer than 1 of 1,000 cases';
  return p < 0.1
    ? `in ${format(Math.max(1, Math.round(1000 * p)))} of 1,000 cases`
    : `in ${Math.round(100 * p)} of 100 cases`;
}

function format(count: number): string {
  return count.toLocaleString('en-US');
}

function signed(value: number): string {
  const digits = Math.abs(value).toFixed(4);
  if (Number(digits) === 0) return digits;
  return `${value < 0 ? '\u2212' : '+'}${digits}`;
}

const MEASURE_WORDS: Record<string, (cutoff: string) => string> = {
  nDCG: (cutoff) =>
    `how high the relevant documents are ranked among the first ${cutoff} results (1 is the best possible order)`,
  Recall: (cutoff) => `the fraction of the relevant documents that are among the first ${cutoff} results`,
  MRR: (cutoff) => `1 divided by the rank of the first relevant document (0 beyond rank ${cutoff})`,
  MAP: (cutoff) => `the precision at the rank of each relevant document within the first ${cutoff} results`,
  P: (cutoff) => `the fraction of relevant documents among the first ${cutoff} results`,
};

/** Explains a measure in one sentence. Returns undefined for a measure without an explanation. */
export function measureInWords(measure: string): string | undefined {
  const [family = '', cutoff = ''] = measure.split('@');
  const words = MEASURE_WORDS[family];
  return words === undefined ? undefined : `${measure} is ${words(cutoff)}, averaged over the queries.`;
}

/** Explains p in one sentence. */
export const P_IN_WORDS =
  'p is the probability of a difference at least this large by chance alone: the smaller p is, the less likely chance explains it.';
