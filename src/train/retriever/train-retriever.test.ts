import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RetrieverRow } from '../../data/index.ts';
import { type Encoder, encodeCorpus, loadEncoder } from '../../embed/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import { UsageError } from '../../system/index.ts';
import type { RetrieverTrainingInput } from './retriever-settings.ts';
import { type TrainRetrieverOptions, trainRetriever } from './train-retriever.ts';

const TINY = fileURLToPath(new URL('../../embed/goldens/tiny-encoder', import.meta.url));
const model = (path = TINY, fingerprint = 'tiny'): ResolvedModel => {
  return { name: 'tiny', path, format: 'safetensors', fingerprint, source: 'fixture' };
};
const row = (index: number, more: Partial<RetrieverRow> = {}): RetrieverRow => ({
  id: `q${index}`,
  query: `query ${index}`,
  expansions: [`river ${index} of stone`],
  positives: [{ id: `d${index}`, text: `stone bridge ${index}` }],
  negatives: [{ text: `paper ${index} and light` }],
  ...more,
});
const rows = Array.from({ length: 10 }, (_, index) => row(index));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-train-retriever-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (name: string, settings: RetrieverTrainingInput = {}, more: Partial<TrainRetrieverOptions> = {}) =>
  trainRetriever({
    ...{ encoder: model(), rows, out: join(folder, name), cache: join(folder, 'cache'), threads: 1 },
    settings: { batchSize: 4, epochs: 1, learningRate: 1e-2, mode: 'whole', ...settings },
    ...more,
  });

async function vectors(path: string, role: 'query' | 'document'): Promise<number[]> {
  const encoder = await loadEncoder(model(path, path), { cache: join(folder, 'graphs'), threads: 1 });
  const found = await encoder.encode(['stone bridge', 'a river'], role);
  await encoder.close();
  return [...found];
}

test.each<[string, RetrieverTrainingInput, { documents: boolean; router: boolean }]>([
  ['all weights', {}, { documents: true, router: false }],
  ['an adapter, folded in', { loraR: 2 }, { documents: true, router: false }],
  ['the query side alone', { train: 'query', loraR: 2, method: 'distil' }, { documents: false, router: true }],
  ['a projection of queries', { train: 'projection' }, { documents: false, router: true }],
  ['a ridge map', { method: 'ridge', ridge: 0.1 }, { documents: false, router: true }],
])('%s: the result is an encoder whose documents change only if they are trained', async (name, settings, wanted) => {
  const { model: out, loss, steps } = await run(name, settings);
  const files = await readdir(out);
  expect(files).toEqual(expect.arrayContaining(['config.json', 'model.safetensors', 'modules.json', 'tokenizer.json']));
  expect(files.includes('router_config.json')).toBe(wanted.router);
  expect([steps > 0, Number.isFinite(loss.first), Number.isFinite(loss.last)]).toEqual([true, true, true]);
  expect(await vectors(out, 'query')).not.toEqual(await vectors(TINY, 'query'));
  const [documents, before] = [await vectors(out, 'document'), await vectors(TINY, 'document')];
  if (wanted.documents) expect(documents).not.toEqual(before);
  else for (const [at, value] of documents.entries()) expect(value).toBeCloseTo(before[at]!, 6);
});

test.each<[string, RetrieverTrainingInput]>([
  ['one encoder', {}],
  ['a Router', { train: 'query', loraR: 2 }],
])('a search reads whole texts even if training cut them: %s', async (name, settings) => {
  const { model: out } = await run(`whole texts, ${name}`, { ...settings, maxLength: 12 });
  const [trained, before] = [await loadEncoder(model(out, out)), await loadEncoder(model())];
  expect(trained.settings.maxLength).toBe(before.settings.maxLength);
  await Promise.all([trained.close(), before.close()]);
});

test.each([0.3, undefined])('ridge tells its strength: set to %s', async (set) => {
  const { ridge, manifestFile } = await run(`strength ${set}`, { method: 'ridge', ...(set && { ridge: set }) });
  if (set === undefined) expect([0.01, 0.1, 1, 10, 100, 1000]).toContain(ridge);
  else expect(ridge).toBe(set);
  expect(JSON.parse(await readFile(manifestFile, 'utf8')).result).toMatchObject({ ridge });
});

test.each<[string, RetrieverTrainingInput, number]>([
  ['trained for queries only', { train: 'query', method: 'distil' }, 0],
  ['behind a linear map', { train: 'projection' }, 0],
  ['trained for both', {}, 3],
])(
  'an encoder %s shares the vectors of a corpus with its base, unless documents are trained',
  async (name, settings, wanted) => {
    const { model: out } = await run(`shared ${name}`, settings);
    let encoded = 0;
    const vectorsBy = async (path: string) => {
      const encoder = await loadEncoder(model(path, path), { cache: join(folder, 'graphs'), threads: 1 });
      const counting: Encoder = {
        ...{ id: path, fingerprint: encoder.fingerprint, documentFingerprint: encoder.documentFingerprint },
        ...{ dimensions: encoder.dimensions, settings: encoder.settings, close: () => encoder.close() },
        encode: (texts, ...rest) => {
          encoded += texts.length;
          return encoder.encode(texts, ...rest);
        },
      };
      const files = { folder: join(folder, `vectors ${name}`), corpusHash: 'three' };
      const documents = (async function* () {
        for (const id of ['a', 'b', 'c']) yield { id, title: '', text: `stone ${id}` };
      })();
      const found = await encodeCorpus(counting, documents, files);
      await Promise.all([found.close(), encoder.close()]);
    };
    await vectorsBy(TINY);
    expect(encoded).toBe(3);
    await vectorsBy(out);
    expect(encoded).toBe(3 + wanted);
  },
);

test('a run that was cut off ends in the same bytes', async () => {
  const settings = { epochs: 2, saveSteps: 2, loraR: 2, loraDropout: 0.2, querySide: 'mixed' as const };
  const whole = await run('whole', settings);
  const stop = new AbortController();
  const onStep = ({ step }: { step: number }) => {
    if (step === 3) stop.abort();
  };
  await expect(run('cut', settings, { signal: stop.signal, onStep })).rejects.toThrow(/stopped after step 3/);
  const cut = await run('cut', settings);
  const bytes = (out: string) => readFile(join(out, 'model.safetensors'));
  expect((await bytes(cut.model)).equals(await bytes(whole.model))).toBe(true);
  expect(cut.loss).toEqual(whole.loss);
});

test('the checkpoint with the best figure of the evaluation is kept', async () => {
  const values = [0.3, 0.6, 0.4, 0.1];
  const seen: string[] = [];
  const places = new Set<string | undefined>();
  const evaluate = async (path: string, _signal?: AbortSignal, scratch?: string) => {
    seen.push(path);
    places.add(scratch);
    expect(await readdir(path)).toContain('config.json');
    if (scratch !== undefined) await mkdir(scratch);
    return { 'nDCG@10': values[seen.length - 1]! };
  };
  const { dev, step, steps } = await run('best', { evalSteps: 1 }, { evaluate });
  expect(seen[0]).toBe(TINY);
  // What is computed from a checkpoint goes with it; the encoder as it came stays.
  const scratch = join(folder, 'best', '.evaluation');
  expect([...places]).toEqual([undefined, scratch]);
  expect(await readdir(join(folder, 'best'))).not.toContain('.evaluation');
  expect({ dev, step, steps }).toEqual({
    dev: { before: { 'nDCG@10': 0.3 }, best: { 'nDCG@10': 0.6, step: 1 } },
    ...{ step: 1, steps: 3 },
  });
});

describe('bad rows', () => {
  test('are left out, counted and told', async () => {
    const told: string[] = [];
    const bad = [
      row(20, { positives: [] }),
      row(21, { positives: [{ text: ' \n ' }] }),
      row(22, { query: '' }),
      row(23, { expansions: [] }),
      row(24, { negatives: [{ text: 'stone bridge 24' }, { id: 'd24', text: 'other words' }, { text: '  ' }] }),
      row(25, { positives: [{ text: 'stone '.repeat(200) }] }),
    ];
    const { counts } = await run('bad', {}, { rows: [...rows, ...bad], warn: (line) => told.push(line) });
    expect(counts.train).toMatchObject({
      ...{ rows: 16, examples: 12, negativesThatArePositives: 2, cutTexts: 1 },
      skipped: { noPositive: 2, noQuerySide: 2, noScores: 0, noNegatives: 0 },
      skippedIds: ['q20', 'q21', 'q22', 'q23'],
    });
    expect(told.join('\n')).toMatch(
      /4 train rows are left out.*q20[\s\S]*2 negatives[\s\S]*without a word[\s\S]*cut at/,
    );
  });

  test.each<[string, Partial<TrainRetrieverOptions>, RetrieverTrainingInput, RegExp]>([
    ['none is left', { rows: [row(1, { positives: [] })] }, {}, /no row is left.*without a positive/],
    ['there are none', { rows: [] }, {}, /there are no rows/],
    ['kl needs scores', {}, { method: 'kl' }, /10 without a teacher's scores/],
    ['of queries only the prompt is left', {}, { maxLength: 5 }, /10 without the texts that the query side is made of/],
  ])('%s', async (_what, more, settings, message) => {
    await expect(run('none', settings, more)).rejects.toThrow(message);
    await expect(run('none', settings, { ...more, files: { train: 'rows.jsonl' } })).rejects.toMatchObject({
      ...{ name: 'DataError', file: 'rows.jsonl' },
    });
  });
});

/** The tiny encoder with a weight that is not a number. */
async function brokenEncoder(): Promise<string> {
  const path = join(folder, 'broken');
  await cp(TINY, path, { recursive: true });
  const file = join(path, 'model.safetensors');
  const bytes = await readFile(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, start));
  const name = Object.keys(header).find((one) => one.endsWith('embeddings.LayerNorm.weight'))!;
  bytes.writeFloatLE(Number.NaN, start + header[name].data_offsets[0]);
  await writeFile(file, bytes);
  return path;
}

describe('numbers that are not finite', () => {
  test('a weight that is none is named before the training, and before a map is fitted', async () => {
    const path = await brokenEncoder();
    const refused = { name: 'ModelError', file: join(path, 'model.safetensors'), id: 'embeddings.LayerNorm.weight' };
    await expect(run('nan', {}, { encoder: model(path, 'broken') })).rejects.toMatchObject(refused);
    await expect(run('nan', { method: 'ridge' }, { encoder: model(path, 'broken') })).rejects.toMatchObject(refused);
  });

  test('so does a loss that runs away', async () => {
    await expect(run('away', { learningRate: 1e38, warmupSteps: 0 })).rejects.toMatchObject({ name: 'DivergedError' });
  });
});

describe('a folder of other work is refused and stays as it is', () => {
  test('a run, for a map in closed form; and such a map, for a run', async () => {
    const fails = { name: 'OtherSettingsError' };
    const bytes = (name: string) => readFile(join(folder, name, 'model.safetensors'));
    await run('taken', { maxSteps: 1 });
    const before = await bytes('taken');
    await expect(run('taken', { method: 'ridge', ridge: 1 })).rejects.toMatchObject(fails);
    expect((await bytes('taken')).equals(before)).toBe(true);
    await run('map', { method: 'ridge', ridge: 1 });
    await expect(run('map', { maxSteps: 1 })).rejects.toMatchObject(fails);
    await expect(run('map', { method: 'ridge', ridge: 2 })).rejects.toThrow(/ridge: 1, now 2/);
    await expect(run('map', { method: 'ridge', ridge: 1 }, { rows: rows.slice(1) })).rejects.toMatchObject(fails);
    expect(await readdir(join(folder, 'map'))).toContain('router_config.json');
    expect((await run('map', { method: 'ridge', ridge: 1 })).ridge).toBe(1);
  });

  test('a data set', async () => {
    await mkdir(join(folder, 'data'));
    await writeFile(join(folder, 'data', 'corpus.jsonl'), '');
    await expect(run('data')).rejects.toThrow(/holds a data set \(corpus\.jsonl\)/);
    expect(await readdir(join(folder, 'data'))).toEqual(['corpus.jsonl']);
  });

  test('a model, and a manifest', async () => {
    await cp(TINY, join(folder, 'own'), { recursive: true });
    await expect(run('own')).rejects.toThrow(/holds a model/);
    expect(await readdir(join(folder, 'own'))).toEqual(await readdir(TINY));
    await mkdir(join(folder, 'other'));
    await writeFile(join(folder, 'other', 'manifest.json'), '{"stage": "align"}');
    await expect(run('other')).rejects.toBeInstanceOf(UsageError);
    expect(await readdir(join(folder, 'other'))).toEqual(['manifest.json']);
  });
});

test('a row without negatives in a batch of its own is left out', async () => {
  const some = [row(1, { negatives: [] }), row(2), row(3)];
  expect((await run('alone', { batchSize: 1 }, { rows: some })).counts.train).toMatchObject({
    ...{ examples: 2, skipped: { noNegatives: 1 }, skippedIds: ['q1'] },
  });
  await expect(run('single', {}, { rows: some.slice(0, 1) })).rejects.toThrow(/1 without negatives/);
});

test('a single dev row without negatives does not stop the training', async () => {
  const { counts } = await run('one-dev-row', {}, { devRows: [row(9, { negatives: [] })] });
  expect(counts.dev).toMatchObject({ examples: 1, skipped: { noNegatives: 0 } });
});

test('a metric that no evaluation reports is refused before the training', async () => {
  const metricForBestModel = 'nDCG@20';
  await expect(run('metric', { metricForBestModel })).rejects.toThrow(/no dev examples/);
  const evaluate = async () => ({ 'nDCG@10': 0.5 });
  const onStep = () => expect.unreachable();
  await expect(run('metric', { metricForBestModel }, { evaluate, onStep })).rejects.toThrow(
    /does not report "nDCG@20"/,
  );
});

test('the last batch of an epoch may hold one row', async () => {
  const { loss, steps } = await run('one', { batchSize: 9, groupSize: 1 });
  expect([steps, loss.last]).toEqual([2, 0]);
});

test.each<[string, RetrieverTrainingInput, RegExp]>([
  ['a batch of one', { batchSize: 1, groupSize: 1 }, /nothing to tell apart/],
  ['a layer that is not there', { loraR: 2, loraTargetModules: ['q_proj'] }, /no linear layer "q_proj"/],
  ['an adapter of a projection', { train: 'projection', loraR: 2 }, /loraR/],
  ['an adapter of a map in closed form', { method: 'ridge', loraR: 2 }, /loraR/],
  ['a size beyond the vectors', { matryoshka: [64] }, /matryoshka/],
])('%s is refused', async (_what, settings, message) => {
  const failure = run('refused', settings);
  await expect(failure).rejects.toThrow(message);
  await expect(failure).rejects.toBeInstanceOf(UsageError);
});
