import { join } from 'node:path';
import { z } from 'zod';
import { Journal, readJsonl, writeJsonl } from '../../files/index.ts';
import { EventFile, type ScalarEvent } from './tensorboard.ts';

/** One line of `metrics.jsonl`: what a step or an evaluation measured. */
export const metricsRecordSchema = z.object({
  /** Milliseconds since 1970. */
  time: z.number(),
  /** Optimiser steps taken, this one counted. */
  step: z.number().int().nonnegative(),
  /** Passes over the examples, this step counted. */
  epoch: z.number(),
  split: z.enum(['train', 'dev']),
  /** JSON knows no NaN: a figure that is no number is null. */
  values: z.record(z.string(), z.number().nullable()),
});

export type MetricsRecord = z.output<typeof metricsRecordSchema>;

const METRICS_FILE = 'metrics.jsonl';
const EVENTS_FILE = 'tensorboard/events.out.tfevents.llm-qe';

/**
 * The figures of a run: appended to `metrics.jsonl`, and again as a TensorBoard event file, which holds nothing that
 * the first does not.
 */
export class MetricsLog {
  readonly #journal: Journal<MetricsRecord>;
  readonly #events: EventFile;

  private constructor(journal: Journal<MetricsRecord>, events: EventFile) {
    this.#journal = journal;
    this.#events = events;
  }

  /**
   * Opens the figures of a run that goes on behind a checkpoint: later lines, of work that will be done again, are cut.
   * @param known the last step and the last evaluation that the checkpoint knows of
   * @throws DataError for a broken line, ResourceError
   */
  static async open(folder: string, known: { step: number; evaluated: number }): Promise<MetricsLog> {
    const journal = await openCut(metricsFile(folder), { train: known.step, dev: known.evaluated });
    try {
      return new MetricsLog(journal, await EventFile.create(join(folder, EVENTS_FILE), journal.records.map(toEvent)));
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  /** Those found on opening, then those appended. */
  get records(): readonly MetricsRecord[] {
    return this.#journal.records;
  }

  async append(record: MetricsRecord): Promise<void> {
    await this.#journal.append(record);
    await this.#events.append(toEvent(record));
  }

  async close(): Promise<void> {
    await this.#events.close();
    await this.#journal.close();
  }
}

/** Where the figures of the run in a folder stand. */
export function metricsFile(folder: string): string {
  return join(folder, METRICS_FILE);
}

/** The figures of a training folder, for curves and reports. @throws DataError */
export async function readMetrics(folder: string): Promise<MetricsRecord[]> {
  const records: MetricsRecord[] = [];
  for await (const { value } of readJsonl(metricsFile(folder), metricsRecordSchema)) records.push(value);
  return records;
}

async function openCut(file: string, last: Record<MetricsRecord['split'], number>): Promise<Journal<MetricsRecord>> {
  const journal = await Journal.open(file, metricsRecordSchema);
  const kept = journal.records.filter(({ step, split }) => step <= last[split]);
  if (kept.length === journal.records.length) return journal;
  await journal.close();
  await writeJsonl(file, kept);
  return Journal.open(file, metricsRecordSchema);
}

function toEvent({ time, step, split, values }: MetricsRecord): ScalarEvent {
  const scalars = Object.entries(values).map(([name, value]): [string, number] => [
    `${split}/${name}`,
    value ?? Number.NaN,
  ]);
  return { time, step, scalars: new Map(scalars) };
}
