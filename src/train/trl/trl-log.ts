import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DataError, systemFault } from '../../system/index.ts';

/** TRL's names of figures, and those of our metrics.jsonl. */
const SHARED_NAMES = {
  loss: 'loss',
  grad_norm: 'gradientNorm',
  learning_rate: 'learningRate',
  entropy: 'entropy',
  mean_token_accuracy: 'tokenAccuracy',
} as const;

/** Those that only DPO has. */
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

/** Tokens since the run began; ours count those of one step. */
const TOKENS_SO_FAR = 'num_tokens';

/** What TRL calls one of our figures; undefined if it has none of the kind. */
export function logNameOf(ours: string, method: 'dpo' | 'sft'): string | undefined {
  const names = method === 'dpo' ? LOG_NAMES : SHARED_NAMES;
  return Object.entries(names).find(([, name]) => name === ours)?.[0];
}

/** Figures that TRL reports of one step or one evaluation, under our names. */
export interface LoggedFigures {
  split: 'train' | 'dev';
  /** A figure that is no number is null. */
  values: Record<string, number | null>;
  /** Since the run began; undefined if it is not told, or rounded. */
  tokensSoFar: number | undefined;
}

/** `'name': 'value'` or `'name': value`, as Python writes a dictionary of texts and numbers. */
const ENTRY = /'([^'\\]+)': (?:'([^'\\]*)'|([^',{}\s]+))/g;

/**
 * Reads a line that the trainer printed: a Python dictionary of figures, rounded to four digits. Undefined for any other
 * line, and for one that is damaged.
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

/** Undefined where these are figures of neither a step nor an evaluation (such as the summary at the end). */
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

/** What `trainer_state.json` of a checkpoint tells, in full precision. */
export interface TrainerState {
  step: number;
  best: { step: number; value: number } | undefined;
  history: (LoggedFigures & { step: number })[];
}

const STATE_FILE = 'trainer_state.json';

/** Reads the state of a checkpoint. @throws DataError if it is missing or broken */
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
    throw new DataError('is not the state of a trainer of Transformers', {
      file,
      fix: 'Remove this checkpoint; the run then goes on behind the one before.',
      cause,
    });
  }
}

function bestOf({ best_global_step: step, best_metric: value }: z.output<typeof stateSchema>): TrainerState['best'] {
  return typeof step === 'number' && typeof value === 'number' ? { step, value } : undefined;
}

/** Python writes what is no number as NaN or Infinity, which JSON has not. */
function withoutNaN(text: string): string {
  return text.replace(/(:\s*)-?(?:NaN|Infinity)(?=\s*[,}\]])/g, '$1null');
}

function onlyNumbers(raw: Readonly<Record<string, unknown>>): Record<string, number | null> {
  const kept = Object.entries(raw).filter(
    (entry): entry is [string, number | null] => entry[1] === null || typeof entry[1] === 'number',
  );
  return Object.fromEntries(kept);
}
