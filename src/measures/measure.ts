import { UsageError } from '../system/index.ts';
import type { Formula } from './formulas.ts';
import * as formulas from './formulas.ts';

/** The default cutoffs. */
export const CUTOFFS = [1, 3, 5, 10, 100, 1000] as const;

/** A kind of measure, with or without a cutoff. */
interface Family {
  /** The name in tables; with a cutoff `nDCG@10`. */
  display: string;
  /** trec_eval's name of the measure over the complete ranking, if it has one. */
  whole?: string;
  /** trec_eval's name of the measure with a cutoff, without `_10`. */
  cut?: string;
  /** Whether it is summed over the queries (counts) instead of averaged. */
  summed?: true;
  formula: Formula;
}

/** trec_eval does not have recip_rank_cut, R_cap and Hole; their names follow its style. */
const FAMILIES: readonly Family[] = [
  { display: 'nDCG', whole: 'ndcg', cut: 'ndcg_cut', formula: formulas.ndcg },
  { display: 'MAP', whole: 'map', cut: 'map_cut', formula: formulas.averagePrecision },
  { display: 'Recall', cut: 'recall', formula: formulas.recall },
  { display: 'P', cut: 'P', formula: formulas.precision },
  { display: 'MRR', whole: 'recip_rank', cut: 'recip_rank_cut', formula: formulas.reciprocalRank },
  { display: 'Success', cut: 'success', formula: formulas.success },
  { display: 'R_cap', cut: 'R_cap', formula: formulas.cappedRecall },
  { display: 'Hole', cut: 'Hole', formula: formulas.hole },
  { display: 'Rprec', whole: 'Rprec', formula: formulas.rPrecision },
  { display: 'bpref', whole: 'bpref', formula: formulas.bpref },
  { display: 'set_P', whole: 'set_P', formula: formulas.setPrecision },
  { display: 'set_recall', whole: 'set_recall', formula: formulas.setRecall },
  { display: 'set_F', whole: 'set_F', formula: formulas.setF },
  { display: 'set_map', whole: 'set_map', formula: formulas.setAveragePrecision },
  { display: 'num_q', whole: 'num_q', summed: true, formula: () => 1 },
  { display: 'num_ret', whole: 'num_ret', summed: true, formula: ({ retrieved }) => retrieved },
  { display: 'num_rel', whole: 'num_rel', summed: true, formula: ({ relevant }) => relevant },
  { display: 'num_rel_ret', whole: 'num_rel_ret', summed: true, formula: ({ relevantRanks }) => relevantRanks.length },
];

/** One measure, ready to be computed. */
export interface Measure {
  /** trec_eval's name: `ndcg_cut_10`. */
  trecName: string;
  /** The name in tables: `nDCG@10`. */
  displayName: string;
  /** Infinity for the complete ranking. */
  cutoff: number;
  /** Whether it is summed over the queries (counts) instead of averaged. */
  summed: boolean;
  /** Whether it needs to know the documents judged for any query. */
  needsPool: boolean;
  formula: Formula;
}

/** trec_eval's names of all measures at the default cutoffs, in the order of the tables. */
export const ALL_MEASURES: readonly string[] = FAMILIES.flatMap(({ whole, cut }) => [
  ...(whole === undefined ? [] : [whole]),
  ...(cut === undefined ? [] : CUTOFFS.map((k) => `${cut}_${k}`)),
]);

/**
 * Reads a measure's name, trec_eval's (`ndcg_cut_10`, `map`, `P_5`) or the one in tables (`nDCG@10`, `MAP`, `P@5`),
 * in any case. Any cutoff of at least 1 works.
 * @throws UsageError for a name that is neither
 */
export function parseMeasure(name: string): Measure {
  const [, stem, digits] = /^(.*?)(?:[@_]([1-9]\d{0,8}))?$/s.exec(name)!;
  const asked = stem!.toLowerCase();
  for (const family of FAMILIES) {
    const names = [family.display, digits === undefined ? family.whole : family.cut];
    if (!names.some((known) => known?.toLowerCase() === asked)) continue;
    if (digits === undefined && family.whole !== undefined) return measureOf(family, Number.POSITIVE_INFINITY);
    if (digits !== undefined && family.cut !== undefined) return measureOf(family, Number(digits));
  }
  throw unknownMeasure(name, asked, digits !== undefined);
}

/**
 * Reads the name of a measure by which searches can be compared, query by query.
 * @throws UsageError for an unknown one, for a count, and for one that needs the pool of judged documents
 */
export function parseQualityMeasure(name: string): Measure {
  const measure = parseMeasure(name);
  if (!measure.summed && !measure.needsPool) return measure;
  throw new UsageError(`${measure.displayName} cannot be used to compare searches`, {
    fix: 'Use a measure such as nDCG@10, Recall@100 or MRR@10.',
  });
}

/** A measure's name in tables: `ndcg_cut_10` becomes `nDCG@10`. @throws UsageError for an unknown name */
export function displayName(name: string): string {
  return parseMeasure(name).displayName;
}

/** trec_eval's name of a measure: `nDCG@10` becomes `ndcg_cut_10`. @throws UsageError for an unknown name */
export function trecName(name: string): string {
  return parseMeasure(name).trecName;
}

function measureOf(family: Family, cutoff: number): Measure {
  const whole = cutoff === Number.POSITIVE_INFINITY;
  return {
    trecName: whole ? family.whole! : `${family.cut}_${cutoff}`,
    displayName: whole ? family.display : `${family.display}@${cutoff}`,
    cutoff,
    summed: family.summed === true,
    needsPool: family.formula === formulas.hole,
    formula: family.formula,
  };
}

function unknownMeasure(name: string, stem: string, cut: boolean): UsageError {
  const family = FAMILIES.find((known) =>
    [known.display, known.whole, known.cut].some((part) => part?.toLowerCase() === stem),
  );
  if (family !== undefined && !cut && family.cut !== undefined) {
    return new UsageError(`measure ${JSON.stringify(name)} needs a cutoff`, {
      fix: `Write ${family.display}@10 or ${family.cut}_10.`,
    });
  }
  if (family !== undefined && cut) {
    return new UsageError(`measure ${JSON.stringify(name)} has no cutoff`, { fix: `Write ${family.display}.` });
  }
  const known = FAMILIES.map(({ display, cut: cutName }) => (cutName === undefined ? display : `${display}@10`));
  return new UsageError(`there is no measure ${JSON.stringify(name)}`, {
    fix: `Use one of ${known.join(', ')}, with any cutoff, or trec_eval's names for them (ndcg_cut_10, map, ...).`,
  });
}
