import { TABLE_MEASURES } from '../../evaluate/index.ts';
import { evaluateRun, type Qrels, type Run, type RunEvaluation } from '../../measures/index.ts';

/** The scores of a run for a report; the values of one measure are those that the screen shows. */
export function evaluateMeans(
  qrels: Qrels,
  run: Run,
  measure: string,
  shown: ReadonlyMap<string, number>,
): RunEvaluation {
  const scores = evaluateRun(qrels, run, { measures: [...new Set([...TABLE_MEASURES, measure])], complete: true });
  const perQuery = new Map([...shown].map(([id, value]) => [id, { ...scores.perQuery.get(id), [measure]: value }]));
  const mean = [...shown.values()].reduce((sum, value) => sum + value, 0) / shown.size;
  return { ...scores, perQuery, mean: { ...scores.mean, [measure]: mean } };
}
