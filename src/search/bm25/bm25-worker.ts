import type { Serve } from '../../system/index.ts';
import { type RankedScores, TopScores } from '../top-scores.ts';
import type { Bm25Request, Bm25WorkerData, RankedLists } from './bm25-protocol.ts';
import { Bm25Scorer, countPostings, type Postings } from './bm25-scorer.ts';

export const serve: Serve<Bm25WorkerData, Bm25Request, RankedLists> = ({ postings }) => {
  const scorer = new Bm25Scorer(postings);
  return {
    answer(request) {
      const value = rankAll(scorer, postings, request);
      const { scores, numbers, counts } = value;
      return { value, transfer: [scores.buffer, numbers.buffer, counts.buffer] as ArrayBuffer[] };
    },
  };
};

function rankAll(scorer: Bm25Scorer, postings: Postings, { queries, k }: Bm25Request): RankedLists {
  const top = new TopScores(k, 'number');
  const ranked: RankedScores[] = [];
  for (let query = 0; query + 1 < queries.starts.length; query++) {
    scorer.begin(countPostings(queries, query, postings));
    for (let at = queries.starts[query]!; at < queries.starts[query + 1]!; at++) {
      scorer.add(queries.terms[at]!, queries.weights[at]!);
    }
    ranked.push(scorer.take(top));
  }
  return join(ranked);
}

function join(ranked: readonly RankedScores[]): RankedLists {
  const counts = Uint32Array.from(ranked, ({ scores }) => scores.length);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const lists: RankedLists = { scores: new Float32Array(total), numbers: new Uint32Array(total), counts };
  let at = 0;
  for (const { scores, numbers } of ranked) {
    lists.scores.set(scores, at);
    lists.numbers.set(numbers, at);
    at += scores.length;
  }
  return lists;
}
