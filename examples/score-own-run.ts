/**
 * Scores a run of any other system without a file: two rankings, their measures, a paired test.
 *   npm run example -- score-own-run
 */
import { compareRuns, evaluateRun, type Qrels, type Run } from 'llm-qe';

const qrels: Qrels = new Map([
  ['q1', new Map([['d1', 1]])],
  ['q2', new Map([['d4', 2]])],
]);
const ranking = (...ids: string[]) => ids.map((id, row) => ({ id, score: ids.length - row }));
const mine: Run = new Map([
  ['q1', ranking('d1', 'd2')],
  ['q2', ranking('d3', 'd4')],
]);
const theirs: Run = new Map([
  ['q1', ranking('d2', 'd1')],
  ['q2', ranking('d3', 'd4')],
]);

console.log(evaluateRun(qrels, mine, { measures: ['nDCG@10', 'MRR@10'] }).mean);
const { delta, randomization } = compareRuns(qrels, theirs, mine, { measure: 'nDCG@10' });
console.log(`mine - theirs: ${delta.toFixed(4)}, p = ${randomization.p}`);
