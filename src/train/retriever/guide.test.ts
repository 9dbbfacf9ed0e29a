import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RetrieverRow } from '../../data/index.ts';
import { type Encoder, loadEncoder } from '../../embed/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import { UsageError } from '../../system/index.ts';
import { ContrastiveTask } from './contrastive-task.ts';
import { Guide } from './guide.ts';
import { openRetrieverBase } from './retriever-base.ts';
import { readExamples } from './retriever-examples.ts';
import { parseRetrieverSettings, type RetrieverTrainingInput } from './retriever-settings.ts';
import { trainRetriever } from './train-retriever.ts';

const TINY = fileURLToPath(new URL('../../embed/goldens/tiny-encoder', import.meta.url));
const model: ResolvedModel = {
  ...{ name: 'tiny', path: TINY, format: 'safetensors', fingerprint: 'tiny', source: 'fixture' },
};

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-guide-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

describe("the loss has the value of sentence-transformers' GISTEmbedLoss", async () => {
  const read = async (name: string) =>
    JSON.parse(await readFile(new URL(`../goldens/${name}`, import.meta.url), 'utf8'));
  const { rows, batch }: { rows: RetrieverRow[]; batch: number } = await read('retriever.json');
  const { values }: { values: Record<string, Record<string, number>> } = await read('guided.json');

  test.each<[string, RetrieverTrainingInput]>([
    ['no margin', {}],
    ['absolute', { absoluteMargin: 0.05 }],
    ['relative', { relativeMargin: 0.1 }],
  ])('%s', async (name, margins) => {
    const given = { querySide: 'query', groupSize: 2, temperature: 0.1, mode: 'whole', ...margins } as const;
    const settings = parseRetrieverSettings(given);
    const base = await openRetrieverBase(model, settings);
    const { examples } = await readExamples(base, rows, settings);
    const encoder = await loadEncoder(model, { cache, threads: 1, pooling: 'mean' });
    const guide = await Guide.open(encoder, () => rows, { wantsJoined: false, cache });
    const task = await ContrastiveTask.open(base, {
      settings,
      guides: { train: guide, dev: guide },
      threads: 1,
      cache,
    });
    const some = examples.slice(0, batch);
    const { loss } = await task.evaluate(some, { total: batch });
    expect(loss).toBeCloseTo(values[name]!.GISTEmbedLoss!, 4);
    expect(loss).toBeCloseTo(values[name]!.CachedGISTEmbedLoss!, 4);
    await Promise.all([task.close(), guide.close(), encoder.close(), base.close()]);
  });
});

/** A guide that finds one document as similar to every query as can be. It counts its texts. */
class Biased implements Encoder {
  readonly id = 'biased';
  readonly fingerprint = 'biased-1';
  readonly dimensions = 2;
  readonly settings = {};
  texts = 0;

  async encode(texts: readonly string[], role: 'query' | 'document'): Promise<Float32Array> {
    this.texts += texts.length;
    return Float32Array.from(texts.flatMap((text) => (role === 'query' || text === 'paper 0' ? [1, 0] : [1, 1])));
  }

  async close() {}
}

const rows = Array.from({ length: 4 }, (_, at): RetrieverRow => {
  const negatives = [{ text: `paper ${at}` }];
  return {
    id: `q${at}`,
    query: `query ${at}`,
    expansions: [`river ${at}`],
    positives: [{ text: `stone ${at}` }],
    negatives,
  };
});
const run = (out: string, guide: Encoder | undefined, more = {}) =>
  trainRetriever({
    ...{ encoder: model, rows, out: join(cache, out), cache, threads: 1, guide },
    settings: { batchSize: 4, maxSteps: 1, mode: 'whole', querySide: 'mixed' },
    ...more,
  });

test('what the guide finds too similar is no negative; its vectors are computed once', async () => {
  const negativesOf = async ({ metricsFile }: { metricsFile: string | undefined }) =>
    JSON.parse((await readFile(metricsFile!, 'utf8')).split('\n')[0]!).values.negatives;
  const guide = new Biased();
  expect(await negativesOf(await run('plain', undefined))).toBe(7);
  // All other documents are as similar as the positives, which is allowed.
  expect(await negativesOf(await run('guided', guide))).toBe(6);
  const encoded = guide.texts;
  // A blank text stands for the joined texts that are not asked for; here they are.
  expect(encoded).toBe(3 * 4 + 2 * 4);
  await run('again', guide);
  expect(guide.texts).toBe(encoded);
});

test('needs rows that can be read again, and negatives', async () => {
  function* once() {
    yield* rows;
  }
  await expect(run('once', new Biased(), { rows: once() })).rejects.toBeInstanceOf(UsageError);
  await expect(run('ridge', new Biased(), { settings: { method: 'ridge' } })).rejects.toThrow(/no negatives/);
});
