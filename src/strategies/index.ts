export { readsCorpus, STRATEGIES, STRATEGY_NAMES, strategyOf } from './catalogue.ts';
export type { ExampleSource } from './examples.ts';
export {
  EXPORT_FORMATS,
  type ExportFormat,
  type ExportOptions,
  type ExportResult,
  exportExpansions,
} from './replay/export.ts';
export { REPLAY_FORMATS, type ReplayFormat } from './replay/foreign-text.ts';
export { type ReplayOptions, type ReplayResult, replayExpansions } from './replay/replay.ts';
export {
  expandByStrategy,
  type StrategyOptions,
  type StrategyResult,
  strategySettings,
} from './run-strategy.ts';
export type { Strategy, StrategySettings } from './strategy.ts';
