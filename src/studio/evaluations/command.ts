import { shellWord, shortPath } from '../../system/index.ts';
import type { Chosen } from './choose.ts';
import type { OpenEvaluation } from './open-evaluation.ts';

/** The files that reproduce what the screen shows; undefined if one is missing. */
function filesFor({ set, arm }: { set: OpenEvaluation['set']; arm: (name: string) => string | undefined }, c: Chosen) {
  const [runA, runB] = [arm(c.a), arm(c.b)];
  if (runA === undefined || runB === undefined || set === undefined) return undefined;
  return { runA: shortPath(runA), runB: shortPath(runB), qrels: shortPath(set.qrelsFile) };
}

/** The command line that compares the two arms; undefined if a run or the judgements are not at hand. */
export function commandFor(evaluation: OpenEvaluation, chosen: Chosen): string | undefined {
  const files = filesFor({ set: evaluation.set, arm: (name) => evaluation.arm(name).run }, chosen);
  if (files === undefined) return undefined;
  const { runA, runB, qrels } = files;
  const words = ['llm-qe', 'compare', runA, runB, '--qrels', qrels, '--measure', chosen.measure, '--missing', 'zero'];
  return [...words, '--seed', `${evaluation.files.seed}`].map(shellWord).join(' ');
}

/** The same as a program. */
export function codeFor(evaluation: OpenEvaluation, chosen: Chosen): string | undefined {
  const files = filesFor({ set: evaluation.set, arm: (name) => evaluation.arm(name).run }, chosen);
  if (files === undefined) return undefined;
  const [a, b, qrels] = [files.runA, files.runB, files.qrels].map((file) => JSON.stringify(file));
  const settings = `{ measure: ${JSON.stringify(chosen.measure)}, missing: 'zero', seed: ${evaluation.files.seed} }`;
  return `import { compareRuns, readQrels, readRun } from 'llm-qe';

const [a, b] = [await readRun(${a}), await readRun(${b})];
const compared = compareRuns(await readQrels(${qrels}), a, b, ${settings});
console.log(compared.delta, compared.interval, compared.randomization.p);
`;
}
