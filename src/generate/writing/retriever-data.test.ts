import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRetrieverSource, type RetrieverRow } from '../../data/index.ts';
import { OtherSettingsError } from '../../files/index.ts';
import { DataError, UsageError } from '../../system/index.ts';
import type { Generation, GenerationRequest, Generator } from '../generator.ts';
import { PROMPTS } from '../prompts.ts';
import { joinRetrieverData, type WriteRetrieverDataOptions, writeRetrieverData } from './retriever-data.ts';
import { DevQueries } from './split-output.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'retriever-data-'));
});
afterEach(() => rm(folder, { recursive: true }));

const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** Writes passages with a boilerplate opening; fails after a number of them. */
class Writer implements Generator {
  readonly id = 'writer';
  readonly fingerprint = 'writer-1';
  readonly asked: GenerationRequest[] = [];
  fails = Number.POSITIVE_INFINITY;
  answer = ({ id, seed }: GenerationRequest) => `Here is a passage: ${id} ${seed}`;

  async *generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
  ): AsyncGenerator<Generation> {
    for await (const request of requests) {
      if (this.asked.push(request) > this.fails) throw new Error('power cut');
      const facts = { finish: 'stop', promptTokens: 9, completionTokens: 4, milliseconds: 12 } as const;
      yield { id: request.id, text: this.answer(request), ...facts };
    }
  }

  async close() {}
}

async function sourceOf(...rows: object[]) {
  const file = join(folder, 'rows.jsonl');
  await writeFile(file, lines(rows));
  return openRetrieverSource({ rows: file, split: 'train', sampleSeed: 1, allowNoQuery: true });
}

const row = (id: string, more: object = {}) => {
  return {
    id,
    query: `ask ${id}`,
    expansions: [],
    positives: [{ text: `yes ${id}` }],
    negatives: [{ text: 'no' }],
    ...more,
  };
};
const twenty = Array.from({ length: 20 }, (_, at) => row(`q${at}`));

async function readRows(file: string): Promise<RetrieverRow[]> {
  return (await readFile(file, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

const write = async (rows: object[], more: Partial<WriteRetrieverDataOptions> = {}) =>
  writeRetrieverData({
    ...{ source: await sourceOf(...rows), generator: new Writer(), out: join(folder, 'out', 'retriever.jsonl') },
    ...more,
  });

describe('writeRetrieverData', () => {
  it('asks by the published settings and cuts the boilerplate', async () => {
    const generator = new Writer();
    const { file, rows, expansions, manifest } = await write([row('a')], { generator, devShare: 0 });
    expect(generator.asked[0]).toMatchObject({
      messages: PROMPTS.q2d.messages({ id: 'a', query: 'ask a' }),
      sampling: { temperature: 1, topP: 0.9, topK: 0, maxTokens: 512 },
    });
    const { seed } = generator.asked[0]!;
    expect(await readRows(file)).toEqual([row('a', { expansions: [`a/0 ${seed}`] })]);
    expect([rows, expansions]).toEqual([{ train: 1, dev: 0 }, 1]);
    expect(JSON.parse(await readFile(manifest, 'utf8'))).toMatchObject({
      result: { rows: { train: 1 }, expansions: 1 },
    });
    expect((await readdir(join(folder, 'out'))).sort()).toEqual(['retriever.jsonl', 'retriever.manifest.json']);
  });

  it('ends in the same bytes if it was cut off, and repeats no text', async () => {
    const whole = await write(twenty, { samples: 2 });
    const bytes = async () => [await readFile(whole.file, 'utf8'), await readFile(whole.devFile!, 'utf8')];
    const wanted = await bytes();
    await rm(join(folder, 'out'), { recursive: true });
    const generator = new Writer();
    generator.fails = 15;
    await expect(write(twenty, { samples: 2, generator })).rejects.toThrow('power cut');
    generator.fails = Number.POSITIVE_INFINITY;
    const { reused, rows } = await write(twenty, { samples: 2, generator });
    expect(reused).toBeGreaterThan(4);
    // One request failed; all others were made once.
    expect(generator.asked).toHaveLength(41);
    expect([await bytes(), rows]).toEqual([wanted, { train: 18, dev: 2 }]);
    expect((await write(twenty, { samples: 2, generator })).reused).toBe(20);
    expect(generator.asked).toHaveLength(41);
  });

  it('asks again for an empty text, and keeps the row without it', async () => {
    const generator = new Writer();
    generator.answer = ({ id }) => (id.startsWith('b') ? ' ' : 'a passage');
    const { withoutExpansions, expansions, devFile } = await write([row('a'), row('b')], { generator, devShare: 0 });
    expect([withoutExpansions, expansions, generator.asked.length, devFile]).toEqual([1, 1, 3, undefined]);
  });

  it('refuses other settings, prompts that read the document, and a share that is none', async () => {
    await write(twenty);
    await expect(write(twenty, { seed: 7 })).rejects.toBeInstanceOf(OtherSettingsError);
    await expect(write(twenty, { devShare: 0.2 })).rejects.toThrow(/devShare/);
    await expect(write(twenty.slice(1))).rejects.toBeInstanceOf(OtherSettingsError);
    await expect(write(twenty, { seed: 7, force: true })).resolves.toMatchObject({
      reused: 0,
      rows: { train: 18, dev: 2 },
    });
    await expect(write(twenty, { prompt: PROMPTS.q2a })).rejects.toBeInstanceOf(UsageError);
    await expect(write(twenty, { devShare: 1 })).rejects.toBeInstanceOf(UsageError);
  });

  it('refuses development rows that another command wrote', async () => {
    await writeFile(join(folder, 'retriever-dev.jsonl'), lines([row('z')]));
    const out = join(folder, 'retriever.jsonl');
    await expect(write(twenty, { out })).rejects.toThrow(/was not written with/);
    await expect(write(twenty, { out, force: true })).resolves.toMatchObject({ rows: { train: 18, dev: 2 } });
    expect(await readRows(join(folder, 'retriever-dev.jsonl'))).toHaveLength(2);
  });
});

describe('the split', () => {
  const devOf = (ids: readonly string[], seed = 42, share = 0.1) => {
    const dev = new DevQueries(share, seed);
    for (const id of ids) dev.survey(id);
    return ids.filter((id) => dev.has(id)).sort();
  };
  const ids = Array.from({ length: 200 }, (_, at) => `q${at}`);

  it('is exact, seeded, and independent of the order', () => {
    expect(devOf(ids)).toHaveLength(20);
    expect(devOf([...ids].reverse())).toEqual(devOf(ids));
    expect(devOf(ids, 43)).not.toEqual(devOf(ids));
    expect([devOf(ids, 1, 0), devOf(['a', 'b'], 1, 0.1).length, devOf(['a', 'b', 'c'], 1, 0.99).length]).toEqual([
      [],
      1,
      2,
    ]);
  });

  it('keeps the rows of one query together', async () => {
    const rows = twenty.flatMap((one) => [one, { ...one, id: `${one.id}-again` }]);
    const { file, devFile } = await write(rows, { devShare: 0.3 });
    const queries = async (path: string) => new Set((await readRows(path)).map(({ query }) => query));
    const [train, dev] = [await queries(file), await queries(devFile!)];
    expect([train.size + dev.size, dev.size > 2]).toEqual([20, true]);
  });
});

describe('joinRetrieverData', () => {
  const out = () => join(folder, 'out', 'retriever.jsonl');

  it('joins by id, cuts boilerplate, and counts what is missing', async () => {
    const expansions = join(folder, 'expansions.jsonl');
    await writeFile(
      expansions,
      lines([
        { query: 'q2', sample: 0, text: "Here's a passage to answer the question: two" },
        { query: 'q1', sample: 1, text: 'one b' },
        { query: 'q1', sample: 0, text: '<think>hm</think> one a' },
        { query: 'unknown', sample: 0, text: 'x' },
      ]),
    );
    const source = await sourceOf(row('q1'), row('q2'), row('q3'));
    const result = await joinRetrieverData({ source, out: out(), expansions, devShare: 0 });
    expect((await readRows(result.file)).map((one) => one.expansions)).toEqual([['one a', 'one b'], ['two'], []]);
    expect(result).toMatchObject({ rows: { train: 3, dev: 0 }, expansions: 3, withoutExpansions: 1, reused: 0 });
    expect((await joinRetrieverData({ source, out: out(), expansions, devShare: 0 })).reused).toBe(3);
    await writeFile(expansions, lines([{ query: 'q1', sample: 0, text: 'other' }]));
    await expect(joinRetrieverData({ source, out: out(), expansions, devShare: 0 })).rejects.toThrow(/expansions/);
  });

  it('keeps the expansions of published rows, and splits them', async () => {
    const published = Array.from({ length: 20 }, (_, at) => ({ query: `doc ${at}`, pos: [`yes ${at}`], neg: ['no'] }));
    const source = await sourceOf(...published);
    const { file, devFile, rows } = await joinRetrieverData({ source, out: out() });
    expect(rows).toEqual({ train: 18, dev: 2 });
    const all = [...(await readRows(file)), ...(await readRows(devFile!))];
    expect(all.map((one) => one.expansions[0]).sort()).toEqual(published.map(({ query }) => query).sort());
  });

  it('goes on after the rows that were written', async () => {
    const wanted = await joinRetrieverData({ source: await sourceOf(...twenty), out: out() });
    const whole = await readFile(wanted.file, 'utf8');
    await writeFile(wanted.file, whole.slice(0, whole.length / 2));
    const { reused } = await joinRetrieverData({ source: await sourceOf(...twenty), out: out() });
    expect(reused).toBeLessThan(20);
    expect(await readFile(wanted.file, 'utf8')).toBe(whole);
  });

  it('refuses expansions of other queries, and leaves no files', async () => {
    const expansions = join(folder, 'expansions.jsonl');
    await writeFile(expansions, lines([{ query: 'x', sample: 0, text: 'x' }]));
    const source = await sourceOf(row('q1'), row('q2'));
    await expect(joinRetrieverData({ source, out: out(), expansions })).rejects.toBeInstanceOf(DataError);
    expect(await readdir(join(folder, 'out'))).toEqual([]);
  });
});
