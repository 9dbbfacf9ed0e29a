import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ModelError } from '../../system/index.ts';
import { writeSafetensors } from '../formats/safetensors-writer.ts';
import { summarizeModel } from './model-summary.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'summary-'));
  await writeSafetensors(join(folder, 'model.safetensors'), [
    { name: 'a', shape: [2, 3], data: new Float32Array(6) },
    { name: 'b', shape: [4], data: new Float32Array(4) },
  ]);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (name: string, settings: unknown) => writeFile(join(folder, name), JSON.stringify(settings));

describe('summarizeModel', () => {
  test('counts tensors and reads the settings next to them', async () => {
    await mkdir(join(folder, '1_Pooling'));
    await write('config.json', {
      model_type: 'bert',
      num_hidden_layers: 6,
      hidden_size: 384,
      max_position_embeddings: 512,
    });
    await write('1_Pooling/config.json', { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false });
    await write('sentence_bert_config.json', { max_seq_length: 256 });
    await write('tokenizer_config.json', { chat_template: null });
    expect(await summarizeModel(folder)).toMatchObject({
      format: 'safetensors',
      architecture: 'bert',
      parameters: 10,
      layers: 6,
      dimensions: 384,
      contextLength: 512,
      maxLength: 256,
      chatTemplate: false,
      pooling: 'cls',
      types: [{ dtype: 'F32', tensors: 2, parameters: 10 }],
    });
  });

  test('describes an adapter', async () => {
    const summary = await summarizeModel(resolve('src/models/goldens/adapters/plain'));
    expect(summary).toMatchObject({ format: 'safetensors', parameters: expect.any(Number), layers: undefined });
    const { rank, modules, targets } = summary.adapter!;
    expect(summary.tensors).toHaveLength(2 * modules);
    expect([rank > 0, targets.includes('q_proj')]).toEqual([true, true]);
  });

  test('of a model with an adapter beside it describes the model; a broken adapter is an error', async () => {
    await cp(resolve('src/models/goldens/adapters/plain'), folder, { recursive: true });
    expect((await summarizeModel(folder)).adapter).toBeUndefined();
    await rm(join(folder, 'model.safetensors'));
    await writeFile(join(folder, 'adapter_model.safetensors'), 'version https://git-lfs.github.com/spec/v1\n');
    await expect(summarizeModel(folder)).rejects.toThrow(/Git LFS/);
  });

  test('works with weights only', async () => {
    const summary = await summarizeModel(join(folder, 'model.safetensors'));
    expect(summary).toMatchObject({
      format: 'safetensors',
      architecture: undefined,
      parameters: 10,
      pooling: undefined,
    });
  });

  test('finds a chat template in either place', async () => {
    await write('tokenizer_config.json', { chat_template: '{{ messages }}' });
    expect((await summarizeModel(folder)).chatTemplate).toBe(true);
    await write('tokenizer_config.json', {});
    await writeFile(join(folder, 'chat_template.jinja'), '{{ messages }}');
    expect((await summarizeModel(folder)).chatTemplate).toBe(true);
  });

  test('names the broken file', async () => {
    await writeFile(join(folder, 'config.json'), '{"model_type":');
    const error = await summarizeModel(folder).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ModelError);
    expect((error as ModelError).file).toBe(join(folder, 'config.json'));
  });
});
