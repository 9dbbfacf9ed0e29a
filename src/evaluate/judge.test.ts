import { expect, it } from 'vitest';
import type { Run } from '../measures/index.ts';
import type { CorpusSearch, ExpandedQuery } from '../retrieve/index.ts';
import { Judge } from './judge.ts';
import type { Topics } from './topics.ts';

it('hands over each run before the next search, and keeps the values of the queries alone', async () => {
  const log: string[] = [];
  const topics = (text: string): Topics => ({
    ...{ dataset: 'toy', split: 'test', qrels: new Map([['q0', new Map([['d0', 1]])]]) },
    queries: [{ id: 'q0', text: 'saw', expansions: [text] }],
  });
  const retrieve = async ([query]: readonly ExpandedQuery[]) => {
    log.push(`search ${query!.expansions}`);
    const hits = ['d0', 'd1'].map((id) => ({ id, score: id === query!.expansions[0] ? 1 : 0 }));
    return { run: new Map([['q0', hits]]) };
  };
  const search = { retriever: async () => ({ retrieve }) } as unknown as CorpusSearch;
  const options = { kind: 'dense', measure: 'MRR@10', alphas: [0.5], depth: 2, keepSelf: false } as const;
  const arm = { name: 'aligned', dev: undefined, test: [topics('d0'), topics('d1')] };
  const onRun = async (run: Run, at: number) => {
    await null;
    log.push(`run ${at} of ${run.size}`);
  };
  const scored = await new Judge(search, options).score(arm, { alpha: 0.5, onRun });
  expect(log).toEqual(['search d0', 'run 0 of 1', 'search d1', 'run 1 of 1']);
  expect(scored.bySeed).toEqual([1, 0.5]);
  expect(scored.values).toEqual(new Map([['q0', 0.75]]));
  expect(scored).not.toHaveProperty('runs');
});
