export { readsCorpus, STRATEGIES, STRATEGY_NAMES, strategyOf } from './catalogue.ts';
export type { ExampleSource } from './examples.ts';
export {
  expandByStrategy,
  type StrategyOptions,
  type StrategyResult,
  strategySettings,
} from './run-strategy.ts';
export type { Strategy, StrategySettings } from './strategy.ts';
