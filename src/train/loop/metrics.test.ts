import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataError } from '../../system/index.ts';
import { MetricsLog, type MetricsRecord, metricsFile, readMetrics } from './metrics.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-'));
});
afterEach(() => rm(folder, { recursive: true }));

const record = (step: number, split: 'train' | 'dev', loss: number | null = step / 2): MetricsRecord => ({
  ...{ time: 1000 * step, step, epoch: step / 4, split },
  values: { loss },
});
const RECORDS = [record(1, 'train'), record(2, 'train'), record(2, 'dev'), record(3, 'train', null), record(3, 'dev')];
const NOTHING = { step: 0, evaluated: 0 };
const events = () => readFile(join(folder, 'tensorboard/events.out.tfevents.llm-qe'));

async function write(records: readonly MetricsRecord[], known: { step: number; evaluated: number }) {
  const log = await MetricsLog.open(folder, known);
  for (const one of records) await log.append(one);
  await log.close();
}

describe('the metrics log', () => {
  test('keeps what it was given; a value that is not a number is null', async () => {
    await write(RECORDS, NOTHING);
    expect(await readMetrics(folder)).toEqual(RECORDS);
  });

  test('removes steps and evaluations that will be repeated, and a partial line', async () => {
    await write(RECORDS, NOTHING);
    await appendFile(metricsFile(folder), '{"time":4000,"st');
    await write([], { step: 3, evaluated: 2 });
    expect(await readMetrics(folder)).toEqual(RECORDS.slice(0, 4));
    await write([], { step: 2, evaluated: 0 });
    expect(await readMetrics(folder)).toEqual(RECORDS.slice(0, 2));
    await write([], NOTHING);
    expect(await readMetrics(folder)).toEqual([]);
  });

  test('the TensorBoard file holds the same events after an interruption as without', async () => {
    await write(RECORDS, NOTHING);
    const whole = await events();
    await write(RECORDS.slice(3), { step: 2, evaluated: 2 });
    // Only the time of the header, that of the first record, differs.
    expect((await events()).subarray(40)).toEqual(whole.subarray(40));
    expect(whole.length).toBeGreaterThan(200);
  });

  test('names the line that is not a metrics record', async () => {
    await appendFile(metricsFile(folder), '{"step": "three"}\n{}\n');
    const error = await MetricsLog.open(folder, NOTHING).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).line).toBe(1);
  });
});
