import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DataError, systemFault } from '../../system/index.ts';

/** TRL's names of metrics, and those of our metrics.jsonl. */
const SHARED_NAMES = {
  loss: 'loss',
  grad_norm: 'gradientNorm',
  learning_rate: 'learningRate',
  entropy: 'entropy',
  mean_token_accuracy: 'tokenAccuracy',
} as const;

/** Metrics of DPO only. */
const DPO_NAMES = {
  'rewards/chosen': 'rewardChosen',
  'rewards/rejected': 'rewardRejected',
  'rewards/margins': 'margin',
  'rewards/accuracies': 'accuracy',
  'logps/chosen': 'logProbabilityChosen',
  'logps/rejected': 'logProbabilityRejected',
  'logits/chosen': 'logitChosen',
  'logits/rejected': 'logitRejected',
} as const;

export const LOG_NAMES: Readonly<Record<string, string>> = { ...SHARED_NAMES, ...DPO_NAMES };

/** Tokens since the start of the run; our metric counts those of one step. */
const TOKENS_SO_FAR = 'num_tokens';

/** TRL's name of one of our metrics; undefined if TRL lacks it. */
export function logNameOf(ours: string, method: 'dpo' | 'sft'): string | undefined {
  const names = method === 'dpo' ? LOG_NAMES : SHARED_NAMES;
  return Object.entries(names).find(([, name]) => name === ours)?.[0];
}

/** The metrics that TRL reports for a step or an evaluation, under our names. */
export interface LoggedFigures {
  split: 'train' | 'dev';
  /** A value that is not a number is null. */
  values: Record<string, number | null>;
  /** Tokens since the start of the run; undefined if missing or rounded. */
  tokensSoFar: number | undefined;
}

/** `'name': 'value'` or `'name': value`, as Python writes a dictionary of strings and numbers. */
const ENTRY = /'([^'\\]+)': (?:'([^'\\]*)'|([^',{}\s]+))/g;

/**
 * Parses a line printed by the trainer: a Python dictionary of metrics, rounded to four digits. Returns undefined for
 * any other line and for a damaged one.
 */
export function parseLogLine(line: string): LoggedFigures | undefined {
  const text = line.trim();
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined;
  const inner = text.slice(1, -1);
  const entries = [...inner.matchAll(ENTRY)];
  if (entries.map(([entry]) => entry).join(', ') !== inner) return undefined;
  const figures = entries.map(([, name, quoted, bare]): [string, number | null] => [name!, number(quoted ?? bare!)]);
  const read = figuresOf(Object.fromEntries(figures));
  return read && { ...read, tokensSoFar: undefined };
}

function number(text: string): number | null {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

/** Undefined if these are not the metrics of a step or an evaluation (such as the summary at the end). */
function figuresOf(raw: Readonly<Record<string, number | null>>): LoggedFigures | undefined {
  const isTrain = Object.hasOwn(raw, 'loss');
  if (!isTrain && !Object.hasOwn(raw, 'eval_loss')) return undefined;
  const prefix = isTrain ? '' : 'eval_';
  const values: LoggedFigures['values'] = {};
  for (const [name, ours] of Object.entries(LOG_NAMES)) {
    const value = raw[`${prefix}${name}`];
    if (value !== undefined) values[ours] = value;
  }
  return { split: isTrain ? 'train' : 'dev', values, tokensSoFar: raw[TOKENS_SO_FAR] ?? undefined };
}

const stateSchema = z.object({
  global_step: z.number().int().nonnegative(),
  best_global_step: z.number().int().nullish(),
  best_metric: z.number().nullish(),
  log_history: z.array(z.looseObject({ step: z.number().int().nonnegative() })),
});

/** The content of a checkpoint's `trainer_state.json`, in full precision. */
export interface TrainerState {
  step: number;
  best: { step: number; value: number } | undefined;
  history: (LoggedFigures & { step: number })[];
}

const STATE_FILE = 'trainer_state.json';

/** Reads the state of a checkpoint. @throws DataError if it is missing or damaged */
export async function readTrainerState(checkpoint: string): Promise<TrainerState> {
  const file = join(checkpoint, STATE_FILE);
  const text = await readFile(file, 'utf8').catch((error) => {
    throw systemFault(error, file);
  });
  return parseTrainerState(text, file);
}

/** @param file named in errors @throws DataError */
export function parseTrainerState(text: string, file: string): TrainerState {
  try {
    const state = stateSchema.parse(JSON.parse(withoutNaN(text)));
    return {
      step: state.global_step,
      best: bestOf(state),
      history: state.log_history.flatMap(({ step, ...raw }) => {
        const figures = figuresOf(onlyNumbers(raw));
        return figures === undefined ? [] : [{ step, ...figures }];
      }),
    };
  } catch (cause) {
    throw new DataError('is not a trainer state of Transformers', {
      file,
      fix: 'Remove this checkpoint. The run then resumes from the previous one.',
      cause,
    });
  }
}

function bestOf({ best_global_step: step, best_metric: value }: z.output<typeof stateSchema>): TrainerState['best'] {
  return typeof step === 'number' && typeof value === 'number' ? { step, value } : undefined;
}

/** Python writes NaN and Infinity, which JSON lacks. */
function withoutNaN(text: string): string {
  return text.replace(/(:\s*)-?(?:NaN|Infinity)(?=\s*[,}\]])/g, '$1null');
}

function onlyNumbers(raw: Readonly<Record<string, unknown>>): Record<string, number | null> {
  const kept = Object.entries(raw).filter(
    (entry): entry is [string, number | null] => entry[1] === null || typeof entry[1] === 'number',
  );
  return Object.fromEntries(kept);
}
