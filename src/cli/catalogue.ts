import type { Command } from './command.ts';

/**
 * Every command and its module, in the order of the help. A command is loaded when it is called: `llm-qe score` does not
 * wait for the runtimes of `llm-qe expand`.
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
  mine: load(() => import('./commands/mine.ts')),
  'train generator': load(() => import('./commands/train-generator.ts')),
  'train retriever': load(() => import('./commands/train-retriever.ts')),
  tune: load(() => import('./commands/tune.ts')),
  'gate train': load(() => import('./commands/gate-train.ts')),
  'gate apply': load(() => import('./commands/gate-apply.ts')),
  embed: load(() => import('./commands/embed.ts')),
  'index build': load(() => import('./commands/index-build.ts')),
  'index add': load(() => import('./commands/index-add.ts')),
  'index remove': load(() => import('./commands/index-remove.ts')),
  'index compact': load(() => import('./commands/index-compact.ts')),
  'index info': load(() => import('./commands/index-info.ts')),
  worker: load(() => import('./commands/worker.ts')),
  evaluate: load(() => import('./commands/evaluate.ts')),
  benchmark: load(() => import('./commands/benchmark.ts')),
  parity: load(() => import('./commands/parity.ts')),
  search: load(() => import('./commands/search.ts')),
  serve: load(() => import('./commands/serve.ts')),
  mcp: load(() => import('./commands/mcp.ts')),
  studio: load(() => import('./commands/studio.ts')),
  score: load(() => import('./commands/score.ts')),
  compare: load(() => import('./commands/compare.ts')),
  'data wordnet': load(() => import('./commands/data-wordnet.ts')),
  'data beir': load(() => import('./commands/data-beir.ts')),
  'data check': load(() => import('./commands/data-check.ts')),
  'data merge': load(() => import('./commands/data-merge.ts')),
  'data split': load(() => import('./commands/data-split.ts')),
  'data leaks': load(() => import('./commands/data-leaks.ts')),
  'data export-expansions': load(() => import('./commands/data-export-expansions.ts')),
  'data retriever': load(() => import('./commands/data-retriever.ts')),
  'models list': load(() => import('./commands/models-list.ts')),
  'models pull': load(() => import('./commands/models-pull.ts')),
  'models inspect': load(() => import('./commands/models-inspect.ts')),
  'models merge': load(() => import('./commands/models-merge.ts')),
  'models export': load(() => import('./commands/models-export.ts')),
  'cache list': load(() => import('./commands/cache-list.ts')),
  'cache clean': load(() => import('./commands/cache-clean.ts')),
};

/** What the help says of the first word of a two-word command. */
export const GROUPS: Record<string, string> = {
  data: 'make, download, check, merge and split data sets; export and audit expansions; write training rows of the retriever',
  train: 'train the models',
  index: 'a corpus that changes: documents, vectors and BM25 in one folder',
  gate: 'learn when to expand a query, and decide by it',
  models: 'download, list, inspect, merge and export models',
  cache: 'list and remove cached files',
};

/** Drops the types of a command's own options: it is only ever run with options that its own schema parsed. */
function load(module: () => Promise<{ command: unknown }>): () => Promise<{ command: Command }> {
  return async () => (await module()) as { command: Command };
}
