import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyDataset } from '../../test/support/tiny-dataset.ts';
import { readRun } from '../data/index.ts';
import { defaultRetrievalSettings } from '../retrieve/index.ts';
import { SILENT } from '../system/index.ts';
import { type ExpansionWriter, runSuite, type SuiteRun } from './run-suite.ts';
import type { Suite } from './suite-schema.ts';
import { parseSystems } from './system-spec.ts';

let folder: string;
let suite: Suite;
const before = process.env.LLM_QE_HOME;

/** Writes the word of each query as its expansion, and counts the calls. */
const writer = {
  idleOptions: ['threads'],
  calls: [] as string[],
  check: async () => {},
  async write({ topics, out, options }) {
    this.calls.push(String(options.task));
    const lines = topics.queries.map(({ id, text }) =>
      JSON.stringify(expansion(id, `${text} ${String(options.task)}`)),
    );
    await cp(await linesFile(lines), out);
  },
} satisfies ExpansionWriter & { calls: string[] };

const expansion = (query: string, text: string) => {
  return { query, sample: 0, text, finish: 'stop', promptTokens: 10, completionTokens: 4, milliseconds: 2, key: 'k' };
};

async function linesFile(lines: readonly string[]): Promise<string> {
  const file = join(folder, 'lines.jsonl');
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-run-suite-'));
  process.env.LLM_QE_HOME = join(folder, 'home');
  for (const name of ['one', 'two']) writeTinyDataset(join(folder, name));
  suite = {
    name: 'tiny',
    sets: ['one', 'broken', 'two'].map((name) => {
      return { name, split: 'test', source: { kind: 'folder', folder: join(folder, name) } };
    }),
  };
});
afterAll(async () => {
  if (before === undefined) delete process.env.LLM_QE_HOME;
  else process.env.LLM_QE_HOME = before;
  await rm(folder, { recursive: true });
});

function run(out: string, ...specs: string[]): Promise<SuiteRun> {
  const systems = parseSystems(specs, undefined, {
    ...{ retrieval: defaultRetrievalSettings({ threads: 1 }), writer: {}, writerShape: {} },
  });
  const progress = { ...SILENT, warn: (line: string) => void warnings.push(line) };
  return runSuite({ suite, systems, writer, out: join(folder, out), data: folder, seed: 42, progress });
}
const warnings: string[] = [];

const stateOf = ({ sets }: SuiteRun) =>
  Object.fromEntries(sets.map(({ set, runs }) => [set.name, [...runs].map(([name, one]) => [name, one.reused])]));

describe('runSuite', () => {
  it('searches every set with every system; one set that fails does not lose the others', async () => {
    const found = await run('all', 'raw=bm25', 'k=bm25,k1=2');
    expect(stateOf(found)).toEqual({
      one: [
        ['raw', false],
        ['k', false],
      ],
      broken: [],
      two: [
        ['raw', false],
        ['k', false],
      ],
    });
    expect(found.failures).toMatchObject([
      { set: 'broken', system: undefined, message: expect.stringContaining('no such folder') },
    ]);
    const raw = found.sets[0]!.runs.get('raw')!;
    // Two judged queries, and each finds its document first.
    expect(raw).toMatchObject({ queries: 2, documents: 8, measures: { 'nDCG@10': 1 } });
    expect([...raw.values.get('nDCG@10')!]).toEqual([
      ['q6', 1],
      ['q7', 1],
    ]);
    expect([...(await readRun(raw.files.run)).keys()]).toEqual(['q6', 'q7']);
  });

  it('repeats nothing that is finished, and searches again what changed', async () => {
    await run('again', 'raw=bm25', 'k=bm25,k1=2');
    const found = await run('again', 'raw=bm25', 'k=bm25,k1=3');
    expect(stateOf(found).one).toEqual([
      ['raw', true],
      ['k', false],
    ]);
    await writeFile(join(folder, 'two', 'qrels', 'test.tsv'), 'q6\td6\t1\nq7\td7\t2\n');
    expect(stateOf(await run('again', 'raw=bm25')).two).toEqual([['raw', false]]);
    // Threads change no run.
    expect(stateOf(await run('again', 'raw=bm25,threads=2')).one).toEqual([['raw', true]]);
  });

  it('names the file of a result that was edited by hand, and goes on with the others', async () => {
    const first = await run('by-hand', 'raw=bm25');
    const file = join(first.sets[0]!.runs.get('raw')!.files.run, '..', 'stage.json');
    const record = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...record, result: { ...record.result, queries: 'two' } }));
    const { failures, sets } = await run('by-hand', 'raw=bm25');
    expect(failures[0]).toMatchObject({
      ...{ set: 'one', system: 'raw', fix: expect.stringContaining('to run the search again') },
      message: expect.stringMatching(/stage\.json.*does not hold the result of a search: queries/),
    });
    expect(sets[2]!.runs.get('raw')!.reused).toBe(true);
  });

  it('goes on behind a search that was cut off before it was whole', async () => {
    const out = join('cut');
    const first = await run(out, 'raw=bm25');
    const stage = join(first.sets[0]!.runs.get('raw')!.files.run, '..');
    const record = JSON.parse(await readFile(join(stage, 'stage.json'), 'utf8'));
    await writeFile(join(stage, 'stage.json'), JSON.stringify({ ...record, finished: false, outputs: {} }));
    await rm(join(stage, 'values.json'));
    const found = await run(out, 'raw=bm25');
    expect(stateOf(found)).toMatchObject({ one: [['raw', false]], two: [['raw', true]] });
  });

  it.each([
    ['run.trec', 'q6 Q0 d6 1 9 other\n', 'run.trec: was changed since'],
    ['run.trec', undefined, 'run.trec: '],
    ['values.json', '{"ids"', 'values.json: was changed since'],
    ['values.json', undefined, 'values.json: '],
    ['stage.json', '{"stage"', 'stage.json: is not the record of a stage'],
  ])('searches again, with a warning, if the %s of a finished search becomes %j', async (name, text, reason) => {
    const first = (await run('edited', 'raw=bm25')).sets[0]!.runs.get('raw')!;
    const file = join(first.files.run, '..', name);
    const before = await readFile(first.files.run, 'utf8');
    if (text === undefined) await rm(file);
    else await writeFile(file, text);
    warnings.length = 0;
    const found = await run('edited', 'raw=bm25');
    expect(found.failures).toMatchObject([{ set: 'broken' }]);
    expect(stateOf(found)).toMatchObject({ one: [['raw', false]], two: [['raw', true]] });
    expect(warnings).toEqual([expect.stringContaining(reason)]);
    expect(warnings[0]).toMatch(/^one, raw: .*; it is searched again$/);
    expect(await readFile(first.files.run, 'utf8')).toBe(before);
  });

  it('searches with expansions of a file, whose name holds the set', async () => {
    for (const [set, text] of [
      ['one', 'sun'],
      ['two', 'hat'],
    ] as const) {
      const lines = ['q6', 'q7'].map((id) => JSON.stringify(expansion(id, text)));
      await writeFile(join(folder, `${set}.expansions.jsonl`), `${lines.join('\n')}\n`);
    }
    const found = await run('files', `e=bm25,query-repeats=1,expansions=${join(folder, '{set}.expansions.jsonl')}`);
    expect(found.failures.map(({ set }) => set)).toEqual(['broken']);
    const expanded = found.sets[0]!.runs.get('e')!;
    expect(expanded.cost).toEqual({ promptTokens: 10, completionTokens: 4, milliseconds: 2 });
    expect(expanded.files.expansions).toBe(join(folder, 'one.expansions.jsonl'));
    // "hat sun" finds two documents for q6, "sun sun" one for q7.
    const run6 = await readRun(expanded.files.run);
    expect(
      run6
        .get('q6')!
        .map(({ id }) => id)
        .sort(),
    ).toEqual(['d6', 'd7']);
  });

  it('counts empty expansions, and queries that have no other', async () => {
    const lines = ['q6', 'q6', 'q7', 'q7'].map((id, at) =>
      JSON.stringify({ ...expansion(id, at === 0 ? 'sun' : ' '), sample: at % 2 }),
    );
    await writeFile(join(folder, 'empty.jsonl'), `${lines.join('\n')}\n`);
    const found = await run('empty', `e=bm25,expansions=${join(folder, 'empty.jsonl')}`, 'raw=bm25');
    const { runs } = found.sets[0]!;
    expect(runs.get('e')!.emptyTexts).toEqual({ expansions: 4, empty: 3, plainQueries: 1 });
    expect(runs.get('raw')!.emptyTexts).toBeUndefined();
  });

  it('refuses expansions that are no file, instead of waiting for their end', async () => {
    const pipe = join(folder, 'pipe.jsonl');
    execFileSync('mkfifo', [pipe]);
    const found = await run('streams', `p=bm25,expansions=${pipe}`, `f=bm25,expansions=${folder}`);
    expect(found.failures.slice(0, 2)).toMatchObject([
      { set: 'one', system: 'p', message: expect.stringContaining('pipe.jsonl: is a device or a pipe, not a file') },
      { set: 'one', system: 'f', message: expect.stringContaining('is a folder, not a file') },
    ]);
  });

  it('searches with texts as they are, in place of the queries', async () => {
    const lines = ['q6', 'q7'].map((id) => JSON.stringify(expansion(id, 'sun')));
    await writeFile(join(folder, 'replacing.jsonl'), `${lines.join('\n')}\n`);
    const found = await run('replaced', `e=bm25,as-is,expansions=${join(folder, 'replacing.jsonl')}`);
    const replaced = await readRun(found.sets[0]!.runs.get('e')!.files.run);
    // The query "hat" is no part of the search.
    expect(replaced.get('q6')!.map(({ id }) => id)).toEqual(['d7']);
  });

  it('leaves out documents that a query excludes, and takes others in their places', async () => {
    await writeFile(join(folder, 'two', 'excluded.tsv'), 'q7\td7\n');
    const found = await run('excluded', 'raw=bm25,depth=1');
    await rm(join(folder, 'two', 'excluded.tsv'));
    const { measures, values, notes } = found.sets[2]!.runs.get('raw')!;
    expect(measures['nDCG@10']).toBe(0.5);
    expect(values.get('nDCG@10')!.get('q7')).toBe(0);
    expect(notes).toEqual(['documents that a query excludes are left out (1 queries)']);
  });

  it('has the judged queries of a set expanded once for all systems with the same writer', async () => {
    const systems = parseSystems(['a=bm25,task=x', 'b=bm25,task=x,k1=2', 'c=bm25,task=y'], undefined, {
      retrieval: defaultRetrievalSettings({ threads: 1 }),
      writer: { task: 'x', threads: 1 },
      writerShape: { task: (await import('zod')).z.string() },
    });
    writer.calls.length = 0;
    const one = { ...suite, sets: suite.sets.slice(0, 1) };
    const options = { suite: one, systems, writer, out: join(folder, 'written'), data: folder, seed: 42 };
    const found = await runSuite(options);
    expect(found.failures).toEqual([]);
    const files = [...found.sets[0]!.runs.values()].map(({ files }) => files.expansions!);
    expect(files[0]).toBe(files[1]);
    expect(files[2]).not.toBe(files[0]);
    expect((await readdir(join(folder, 'written', 'expansions', 'one'))).length).toBe(2);
    expect((await stat(files[0]!)).size).toBeGreaterThan(0);
    expect(writer.calls).toEqual(['x', 'x', 'y']);
  });
});
