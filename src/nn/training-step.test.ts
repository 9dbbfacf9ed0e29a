import { copyFile, mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openCheckpoint } from '../models/index.ts';
import { ModelError } from '../system/index.ts';
import { bertConfigSchema } from './architectures/bert-config.ts';
import { bertModel } from './architectures/bert-model.ts';
import type { Head } from './block-model.ts';
import { reduceSum } from './operations/index.ts';
import { Runtime } from './runtime.ts';
import { TrainingStep } from './training-step.ts';

const BERT = fileURLToPath(new URL('goldens/bert', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-step-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const sum: Head = (_weights, x) => ({ loss: reduceSum(x, [0, 1, 2]), outputs: {} });

test.each(['whole', 'blocks'] as const)(
  '%s: gradients that are given back lend their memory to later ones',
  async (mode) => {
    const config = bertConfigSchema.parse(JSON.parse(await readFile(join(BERT, 'config.json'), 'utf8')));
    const checkpoint = await openCheckpoint(BERT);
    const model = bertModel(checkpoint, config, { trains: (name) => name.includes('layer.1.output') });
    const settings = { cache: join(folder, 'cache'), fingerprint: 'bert', mode, memory: 0, largest: {}, threads: 1 };
    const { step, parameters } = await TrainingStep.open(model, sum, { ...settings, device: 'cpu' });
    const int32 = (shape: number[], data: Int32Array) => ({ dtype: 'int32' as const, shape, data });
    const run = async () => {
      const batch = { ids: int32([1, 3], Int32Array.of(1, 2, 3)), lengths: int32([1], Int32Array.of(3)) };
      return (await step.differentiate(batch, parameters, 0)).gradients;
    };
    const [first, second] = [await run(), await run()];
    const wanted = [...first].map(([name, values]) => [name, [...values]]);
    for (const values of second.values()) values.fill(Number.NaN);
    step.recycle(second);
    const third = await run();
    await step.close();
    await checkpoint.close();
    expect([...second.values()].map(({ length }) => length)).toEqual([...second].map(() => 0)); // moved away
    expect([...third].map(([name, values]) => [name, [...values]])).toEqual(wanted);
    expect([...first].map(([name, values]) => [name, [...values]])).toEqual(wanted);
  },
);

test.each([
  ['frozen', undefined],
  ['trained', () => true],
])('a file of %s weights that shrank is refused by name before a worker starts', async (name, trains) => {
  const file = join(folder, `${name}.safetensors`);
  await copyFile(join(BERT, 'model.safetensors'), file);
  const config = bertConfigSchema.parse(JSON.parse(await readFile(join(BERT, 'config.json'), 'utf8')));
  const checkpoint = await openCheckpoint(file);
  await truncate(file, 20_000);
  const start = vi.spyOn(Runtime, 'open');
  const model = bertModel(checkpoint, config, trains && { trains });
  const settings = {
    fingerprint: name,
    mode: 'whole' as const,
    memory: 0,
    largest: {},
    threads: 1,
    device: 'cpu' as const,
  };
  const opening = TrainingStep.open(model, sum, { cache: join(folder, 'cache'), ...settings });
  await expect(opening).rejects.toThrow(ModelError);
  await expect(opening).rejects.toThrow(file);
  expect(start).not.toHaveBeenCalled();
  await checkpoint.close();
  await expect(openCheckpoint(file)).rejects.toThrow(file);
});
