import type { JudgedRanking } from './judged-ranking.ts';

/**
 * Computes a measure for one query. `k` is the cutoff: only the first `k` ranks count (Infinity: all of them). Every
 * formula is trec_eval 9's, unless stated otherwise. If a denominator is 0, the value is 0.
 */
export type Formula = (ranking: JudgedRanking, k: number) => number;

/**
 * nDCG with the grade itself as gain and log2(rank + 1) as discount, over that of the ideal ranking
 * (Järvelin and Kekäläinen 2002, as in trec_eval's ndcg and ndcg_cut). It ignores the relevance level.
 */
export const ndcg: Formula = ({ gainRanks, gains, idealGains }, k) => {
  let ideal = 0;
  for (let place = 0; place < idealGains.length && place < k; place++)
    ideal += idealGains[place]! / Math.log2(place + 2);
  if (ideal === 0) return 0;
  let found = 0;
  for (let place = 0; place < gains.length && gainRanks[place]! <= k; place++) {
    found += gains[place]! / Math.log2(gainRanks[place]! + 1);
  }
  return found / ideal;
};

/** Mean over all relevant documents of the precision at their rank; one outside the first k adds 0. */
export const averagePrecision: Formula = ({ relevantRanks, relevant }, k) => {
  let sum = 0;
  for (let place = 0; place < relevantRanks.length && relevantRanks[place]! <= k; place++) {
    sum += (place + 1) / relevantRanks[place]!;
  }
  return relevant === 0 ? 0 : sum / relevant;
};

/** Fraction of the relevant documents that are within the first k. */
export const recall: Formula = ({ relevantRanks, relevant }, k) => over(countWithin(relevantRanks, k), relevant);

/** Fraction of relevant documents among the first k; the denominator is k even if fewer were retrieved. */
export const precision: Formula = ({ relevantRanks }, k) => countWithin(relevantRanks, k) / k;

/** 1 if a relevant document is within the first k, otherwise 0. */
export const success: Formula = ({ relevantRanks }, k) => (relevantRanks.length > 0 && relevantRanks[0]! <= k ? 1 : 0);

/** 1 / rank of the first relevant document, 0 if that rank is beyond k (the cutoff of BEIR and MS MARCO). */
export const reciprocalRank: Formula = ({ relevantRanks }, k) =>
  relevantRanks.length > 0 && relevantRanks[0]! <= k ? 1 / relevantRanks[0]! : 0;

/** BEIR's capped recall: relevant documents within the first k, over min(k, relevant documents). */
export const cappedRecall: Formula = ({ relevantRanks, relevant }, k) =>
  over(countWithin(relevantRanks, k), Math.min(k, relevant));

/** BEIR's hole: documents within the first k that are not judged for any query, over k. */
export const hole: Formula = ({ holeRanks }, k) => countWithin(holeRanks, k) / k;

/** Precision (and recall) at the rank that equals the number of relevant documents. */
export const rPrecision: Formula = ({ relevantRanks, relevant }) =>
  over(countWithin(relevantRanks, relevant), relevant);

/**
 * bpref (Buckley and Voorhees 2004): for each retrieved relevant document 1 minus the fraction of documents judged not
 * relevant above it, both counts capped at the number of relevant documents; unjudged documents are skipped.
 */
export const bpref: Formula = ({ relevantRanks, notRelevantRanks, relevant, notRelevant }) => {
  let sum = 0;
  let above = 0;
  for (const rank of relevantRanks) {
    while (above < notRelevantRanks.length && notRelevantRanks[above]! < rank) above++;
    sum += above === 0 ? 1 : 1 - Math.min(above, relevant) / Math.min(notRelevant, relevant);
  }
  return over(sum, relevant);
};

/** Precision of the whole retrieved set. */
export const setPrecision: Formula = ({ relevantRanks, retrieved }) => over(relevantRanks.length, retrieved);

/** Recall of the whole retrieved set. */
export const setRecall: Formula = ({ relevantRanks, relevant }) => over(relevantRanks.length, relevant);

/** F1 of the whole retrieved set. */
export const setF: Formula = ({ relevantRanks, retrieved, relevant }) =>
  over(2 * relevantRanks.length, retrieved + relevant);

/** Precision times recall of the whole retrieved set. */
export const setAveragePrecision: Formula = ({ relevantRanks, retrieved, relevant }) =>
  over(relevantRanks.length ** 2, retrieved * relevant);

function over(numerator: number, denominator: number): number {
  return denominator === 0 ? 0 : numerator / denominator;
}

/** Counts the ascending ranks that are at most k. */
function countWithin(ranks: ArrayLike<number>, k: number): number {
  let low = 0;
  let high = ranks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranks[middle]! <= k) low = middle + 1;
    else high = middle;
  }
  return low;
}
