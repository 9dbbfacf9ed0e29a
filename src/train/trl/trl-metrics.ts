import { writeJsonl } from '../../files/index.ts';
import { DivergedError } from '../loop/errors.ts';
import { MetricsLog, type MetricsRecord, metricsFile, readMetrics } from '../loop/metrics.ts';
import type { LoggedFigures, TrainerState } from './trl-log.ts';
import type { TrlPlan } from './trl-plan.ts';

/**
 * The metrics of a TRL run in our own `metrics.jsonl`. During the run they are the printed ones, of four digits; {@link
 * settle} replaces them with the exact ones of a checkpoint.
 */
export class TrlMetrics {
  readonly #folder: string;
  readonly #plan: TrlPlan;
  /** Examples per epoch. */
  readonly #examples: number;
  #log: MetricsLog;
  #step: number;

  private constructor(folder: string, plan: TrlPlan, examples: number, log: MetricsLog, step: number) {
    this.#folder = folder;
    this.#plan = plan;
    this.#examples = examples;
    this.#log = log;
    this.#step = step;
  }

  /**
   * Opens the metrics of a run that resumes from a checkpoint; those of later steps are removed.
   * @param step step of that checkpoint; 0 if there is none
   * @throws DataError, ResourceError
   */
  static async open(folder: string, plan: TrlPlan, examples: number, step: number): Promise<TrlMetrics> {
    const log = await MetricsLog.open(folder, { step, evaluated: step });
    return new TrlMetrics(folder, plan, examples, log, step);
  }

  /** Number of steps reported so far. */
  get step(): number {
    return this.#step;
  }

  /** Appends the printed metrics of a step or an evaluation. @throws DivergedError if a loss is not a number */
  async append(figures: LoggedFigures): Promise<MetricsRecord> {
    if (figures.split === 'train') this.#step++;
    const record = this.#record(this.#step, figures);
    await this.#log.append(record);
    if (figures.split === 'train' && figures.values.loss === null) {
      const reason = `step ${this.#step}: the loss is not finite; the last checkpoint is kept`;
      throw new DivergedError(reason, { step: this.#step, file: this.#folder });
    }
    return record;
  }

  /** Replaces the printed metrics with those of a checkpoint in full precision. */
  async settle({ history }: TrainerState): Promise<void> {
    await this.#log.close();
    const known = new Map((await readMetrics(this.#folder)).map((record) => [keyOf(record), record]));
    let before: { tokens: number; time: number } = { tokens: 0, time: Number.NaN };
    for (const entry of history) {
      const record = this.#record(entry.step, entry);
      const time = known.get(keyOf(record))?.time ?? record.time;
      const values = { ...record.values };
      if (entry.split === 'train' && entry.tokensSoFar !== undefined) {
        values.tokens = entry.tokensSoFar - before.tokens;
        const seconds = (time - before.time) / 1000;
        if (seconds > 0) values.tokensPerSecond = values.tokens / seconds;
        before = { tokens: entry.tokensSoFar, time };
      }
      known.set(keyOf(record), { ...record, time, values });
    }
    const records = [...known.values()].sort((a, b) => a.step - b.step || b.split.localeCompare(a.split));
    await writeJsonl(metricsFile(this.#folder), records);
    const all = { step: Number.POSITIVE_INFINITY, evaluated: Number.POSITIVE_INFINITY };
    this.#log = await MetricsLog.open(this.#folder, all);
  }

  async close(): Promise<void> {
    await this.#log.close();
  }

  #record(step: number, { split, values }: LoggedFigures): MetricsRecord {
    const { method, settings } = this.#plan;
    const { loss } = values;
    // As in the local engine: the loss of SFT is the mean of -ln p over the tokens.
    const more = method === 'sft' && loss !== undefined ? { logProbability: loss === null ? null : -loss } : {};
    return {
      ...{ time: Date.now(), step, split },
      epoch: (step * settings.batchSize) / this.#examples,
      values: { ...values, ...more },
    };
  }
}

function keyOf({ step, split }: Pick<MetricsRecord, 'step' | 'split'>): string {
  return `${split} ${step}`;
}
