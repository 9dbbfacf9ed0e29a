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
