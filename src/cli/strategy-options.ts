import { z } from 'zod';
import { TASKS, type Task } from '../generate/index.ts';
import { retrievalSettings } from '../retrieve/index.ts';
import {
  STRATEGIES,
  STRATEGY_NAMES,
  type StrategySettings,
  strategyOf,
  strategySettings,
} from '../strategies/index.ts';
import { inGroup, UsageError } from '../system/index.ts';

const own = (what: string, otherwise: string) => `${what} (default: the strategy's, otherwise ${otherwise})`;

/** Options of a command that writes expansions by a strategy. They replace those of the language model that a strategy decides. */
export const strategyOptions = {
  ...inGroup('Language model:', {
    strategy: z
      .enum(STRATEGY_NAMES)
      .optional()
      .describe('a published way to expand queries, with its own settings (listed below)')
      .meta({ valueName: 'NAME' }),
    variant: z
      .string()
      .optional()
      .describe("with --strategy hyde or lamer: wording for a kind of data (default: by the data set's name)")
      .meta({ valueName: 'NAME' }),
    task: z.enum(TASKS).optional().describe('which published prompt to use (default: q2d)'),
    temperature: z.coerce.number().min(0).optional().describe(own('sampling temperature; 0 is greedy decoding', '1')),
    topP: z.coerce
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe(own('nucleus sampling: probability mass to sample from', '0.9')),
    topK: z.coerce.number().int().min(0).optional().describe(own('sample from this many top tokens; 0: from all', '0')),
    maxTokens: z.coerce.number().int().min(1).optional().describe(own('maximum number of new tokens per text', '512')),
    samples: z.coerce.number().int().min(1).optional().describe(own('texts for one prompt', '1')),
  }),
  ...inGroup('First search, for strategies whose prompts hold documents:', {
    k1: retrievalSettings.k1,
    b: retrievalSettings.b,
    analyzer: retrievalSettings.analyzer,
  }),
};

const schema = z.object(strategyOptions);
type StrategyChoice = z.output<typeof schema>;

/** One line for each strategy. */
export const STRATEGY_LINES = STRATEGIES.map(({ name, summary }) => [name, summary] as const);

/** What a strategy and the options that override it decide. */
export interface ChosenStrategy extends StrategySettings {
  task: Task;
  /** Room for the prompt in the context; undefined without a strategy. */
  promptTokens: number | undefined;
}

/**
 * Fills in the settings of the strategy, or the usual ones without a strategy.
 * @throws UsageError for options that contradict one another
 */
export function chooseStrategy(given: StrategyChoice & { prompt?: string | undefined }): ChosenStrategy {
  const { strategy, task, prompt, variant, temperature, topP, topK, maxTokens, samples } = given;
  const other = Object.entries({ '--task': task, '--prompt': prompt }).find(([, value]) => value !== undefined);
  if (strategy !== undefined && other !== undefined) {
    throw new UsageError(`--strategy and ${other[0]} cannot be combined`, {
      fix: 'A strategy brings its own prompts: omit one of the two.',
    });
  }
  if (strategy === undefined && variant !== undefined) {
    throw new UsageError('--variant needs --strategy', { fix: 'Add --strategy hyde or lamer, or omit --variant.' });
  }
  // A prompt without a strategy is sampled like LLM-QE's.
  const chosen = strategyOf(strategy ?? 'q2d');
  const settings = strategySettings(chosen, { temperature, topP, topK, maxTokens, samples });
  return { ...settings, task: task ?? 'q2d', promptTokens: strategy === undefined ? undefined : chosen.promptTokens };
}
