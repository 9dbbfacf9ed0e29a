import type { Command } from './command.ts';

/**
 * Every command and where it stands. Commands are loaded when they are called, so that `llm-qe score` does not wait for
 * the runtimes of `llm-qe expand`. The order is the order of the help.
 */
export const CATALOGUE: Record<string, () => Promise<{ command: Command }>> = {
  demo: load(() => import('./commands/demo.ts')),
  try: load(() => import('./commands/try.ts')),
  align: load(() => import('./commands/align.ts')),
  expand: load(() => import('./commands/expand.ts')),
  candidates: load(() => import('./commands/candidates.ts')),
  answers: load(() => import('./commands/answers.ts')),
  reward: load(() => import('./commands/reward.ts')),
  pairs: load(() => import('./commands/pairs.ts')),
  'train generator': load(() => import('./commands/train-generator.ts')),
  evaluate: load(() => import('./commands/evaluate.ts')),
  search: load(() => import('./commands/search.ts')),
  score: load(() => import('./commands/score.ts')),
  compare: load(() => import('./commands/compare.ts')),
  'data wordnet': load(() => import('./commands/data-wordnet.ts')),
  'data beir': load(() => import('./commands/data-beir.ts')),
  'data check': load(() => import('./commands/data-check.ts')),
  'data merge': load(() => import('./commands/data-merge.ts')),
  'data split': load(() => import('./commands/data-split.ts')),
  'models list': load(() => import('./commands/models-list.ts')),
  'models pull': load(() => import('./commands/models-pull.ts')),
  'models inspect': load(() => import('./commands/models-inspect.ts')),
  'models merge': load(() => import('./commands/models-merge.ts')),
  'models export': load(() => import('./commands/models-export.ts')),
  'cache list': load(() => import('./commands/cache-list.ts')),
  'cache clean': load(() => import('./commands/cache-clean.ts')),
};

/** What the first word of a two-word command stands for. */
export const GROUPS: Record<string, string> = {
  data: 'make, fetch, check and divide data sets',
  train: 'train the language model and the retriever',
  models: 'fetch, list, look into, merge and export models',
  cache: 'show and remove what is kept to be used again',
};

/** A command's own option types are its own business: once loaded it is run with what its schema made of the words. */
function load(module: () => Promise<{ command: unknown }>): () => Promise<{ command: Command }> {
  return async () => (await module()) as { command: Command };
}
