import { PROMPTS } from '../../generate/index.ts';
import { DEFAULT_COMBINATION } from '../../retrieve/index.ts';
import { askOnce, defineStrategy, type Strategy } from '../strategy.ts';

/** The four prompts that the reference implementation expands queries with, and what they ask for. */
const ASKED = {
  q2d: 'a passage that answers the question',
  q2e: 'a list of keywords',
  q2q: 'a rewrite of the query',
  q2c: 'an answer after its rationale',
} as const;
export type ExpansionTaskName = keyof typeof ASKED;

/** The prompts of LLM-QE with its sampling: the same as `--task`. */
export const TASK_STRATEGIES: readonly Strategy[] = (Object.keys(ASKED) as ExpansionTaskName[]).map((task) =>
  defineStrategy({
    name: task,
    summary: `${ASKED[task]}, by the prompt of LLM-QE`,
    paper: 'LLM-QE (Yao et al. 2025, arXiv 2502.17057)',
    defaults: { topP: 0.9 },
    steps: askOnce(({ query }) => PROMPTS[task].messages({ id: '', query })),
    combination: () => DEFAULT_COMBINATION,
  }),
);

/** Whether a strategy is one prompt of LLM-QE. */
export function isTask(name: string): name is ExpansionTaskName {
  return Object.hasOwn(ASKED, name);
}
