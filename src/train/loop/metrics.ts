import { join } from 'node:path';
import { z } from 'zod';
import { Journal, readJsonl, writeJsonl } from '../../files/index.ts';
import { EventFile, type ScalarEvent } from './tensorboard.ts';

/** One line of `metrics.jsonl`: the metrics of a step or an evaluation. */
export const metricsRecordSchema = z.object({
  /** Milliseconds since 1970. */
  time: z.number(),
  /** Optimiser steps taken, including this one. */
  step: z.number().int().nonnegative(),
  /** Passes over the examples, including this step. */
  epoch: z.number(),
  split: z.enum(['train', 'dev']),
  /** JSON has no NaN: a value that is not a number is null. */
  values: z.record(z.string(), z.number().nullable()),
});

export type MetricsRecord = z.output<typeof metricsRecordSchema>;

const METRICS_FILE = 'metrics.jsonl';
const EVENTS_FILE = 'tensorboard/events.out.tfevents.llm-qe';

/**
 * The metrics of a run, appended to `metrics.jsonl` and copied into a TensorBoard event file.
 */
export class MetricsLog {
  readonly #journal: Journal<MetricsRecord>;
  readonly #events: EventFile;

  private constructor(journal: Journal<MetricsRecord>, events: EventFile) {
    this.#journal = journal;
    this.#events = events;
  }

  /**
   * Opens the metrics of a run that resumes from a checkpoint. Lines of later steps, which will be repeated, are
   * removed.
   * @param known the last step and the last evaluation that the checkpoint includes
   * @throws DataError if a line is damaged; ResourceError
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

  /** The records found on opening, followed by those appended. */
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

/** The metrics file of the run in a folder. */
export function metricsFile(folder: string): string {
  return join(folder, METRICS_FILE);
}

/** Reads the metrics of a training folder, for curves and reports. @throws DataError */
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
