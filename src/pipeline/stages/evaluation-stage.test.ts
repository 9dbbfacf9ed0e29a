import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FiveCorpus, FiveEncoder } from '../../../test/support/five-documents.ts';
import { readRun } from '../../data/index.ts';
import { type EvaluationData, evaluationSchema, type Judgement } from '../../evaluate/index.ts';
import { AbortedError, contentKey, type Progress, type ProgressTask, SILENT } from '../../system/index.ts';
import { openContext } from '../align.ts';
import { parseRecipe } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { retrievalOf } from '../run/alignment-inputs.ts';
import { type EncoderSource, Encoders } from '../run/encoders.ts';
import type { FinishedStage } from '../run/run-folder.ts';
import { type AlignmentContext, keyedSettings } from '../run/stage.ts';
import { evaluateStage } from './evaluation-stage.ts';

/**
 * Goldens by hand over the five documents of test/support/five-documents.ts. The measure is MRR@10; q0 "saw" wants d4, q1
 * "lamp" wants d2. Ranks by dot product:
 *
 * | vector                  | ranks          | d4  | d2  |
 * | saw (1, 0)              | d5 d1 d2 d3 d4 | 1/5 |     |
 * | ship sea (0, 1), ship   | d5 d4 d2 d3 d1 | 1/2 | 1/3 |
 * | turn (-1, 1)            | d4 d3 d2 d1 d5 | 1   | 1/3 |
 * | lamp (-3, 2)            | d4 d3 d2 d1 d5 |     | 1/3 |
 * | lamp ship (-3, 5)       | d4 d2 d3 d5 d1 | 1   | 1/2 |
 *
 * The alphas are 0 and 1: a query is searched by itself or by its expansion. zeroShot is given alpha 0, and so ranks as
 * the queries do; sft and aligned are tuned on the development query "saw", which wants d4, and both choose 1.
 */
const folder = mkdtempSync(join(tmpdir(), 'llm-qe-evaluation-'));
const at = (...names: string[]) => join(folder, ...names);
const TEXTS: Record<string, Record<string, string[]>> = {
  'expand-zeroShot': { 'dev-1': ['sea'], 'test-1': ['turn', 'ship'], 'test-2': ['turn', 'ship'] },
  'expand-sft': { 'dev-1': ['ship'], 'test-1': ['ship', 'ship'], 'test-2': ['ship', 'ship'] },
  'expand-aligned': {
    'dev-1': ['ship sea'],
    'test-1': ['ship sea', 'lamp ship'],
    'test-2': ['turn', 'lamp ship'],
  },
};

const RECIPE = `
name: five
seed: 5
data: { kind: beir, folder: ${JSON.stringify(at('set'))} }
generator: { model: ${JSON.stringify(resolve('src/generate/goldens/tiny-llama.gguf'))} }
encoder: { model: ${JSON.stringify(resolve('src/embed/goldens/tiny-encoder'))} }
expansion: { seeds: [1, 2] }
evaluation:
  { alphas: [1, 0], armAlphas: { zeroShot: 0 }, measure: recip_rank_cut_10, depth: 5, controls: true, judges: [bm25], k1: 1, b: 0 }
`;

const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

beforeAll(async () => {
  vi.stubEnv('LLM_QE_HOME', at('home'));
  mkdirSync(at('set', 'qrels'), { recursive: true });
  const corpus: object[] = [];
  for await (const { id, title, text } of new FiveCorpus().documents()) corpus.push({ _id: id, title, text });
  writeFileSync(at('set', 'corpus.jsonl'), lines(corpus));
  const queries = Object.entries({ q0: 'saw', q1: 'lamp', dev: 'saw', train: 'saw' });
  writeFileSync(at('set', 'queries.jsonl'), lines(queries.map(([_id, text]) => ({ _id, text }))));
  const judged = { train: ['train d1 1'], dev: ['dev d4 1'], test: ['q0 d5 0', 'q0 d4 1', 'q1 d2 1'] };
  for (const [split, rows] of Object.entries(judged)) {
    const tsv = ['query-id corpus-id score', ...rows].map((row) => `${row.replaceAll(' ', '\t')}\n`);
    writeFileSync(at('set', 'qrels', `${split}.tsv`), tsv.join(''));
  }
  for (const [stage, parts] of Object.entries(TEXTS)) {
    mkdirSync(at(stage));
    for (const [part, texts] of Object.entries(parts)) {
      const ids = part.startsWith('dev') ? ['dev'] : ['q0', 'q1'];
      const counts = { promptTokens: 1, completionTokens: 1, milliseconds: 0, finish: 'stop', key: 'key' };
      const rows = texts.map((text, row) => ({ query: ids[row], sample: 0, text, ...counts }));
      writeFileSync(at(stage, part), lines(rows));
    }
  }
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** The five documents' encoder in place of the recipe's. */
class FiveEncoders extends Encoders {
  override at(...done: Parameters<Encoders['at']>): EncoderSource {
    const encoder = new FiveEncoder();
    return { ...super.at(...done), key: { model: encoder.fingerprint }, open: async () => encoder };
  }
}

/** A context in which the arms have written. */
async function open(set: string[] = [], signal?: AbortSignal): Promise<AlignmentContext> {
  const context = await openContext(parseRecipe(RECIPE, 'five.yaml', set), { threads: 1, signal });
  for (const [stage, parts] of Object.entries(TEXTS)) {
    const outputs = Object.fromEntries(Object.keys(parts).map((part) => [part, { file: part, sha256: `of ${part}` }]));
    context.done.set(stage, { record: { outputs }, folder: at(stage) } as unknown as FinishedStage);
  }
  return withRecipe(context, context.recipe);
}

/** The same data, under another recipe. */
function withRecipe(context: AlignmentContext, recipe: Recipe): AlignmentContext {
  const retrieval = retrievalOf(recipe, recipe.encoder.model, context.options);
  const encoders = new FiveEncoders(context.models.store, undefined, retrieval);
  return { ...context, recipe, models: { ...context.models, encoders } };
}

let runs = 0;

async function evaluate(...set: string[]): Promise<{ data: EvaluationData; outputs: Record<string, string> }> {
  const own = at(`run-${runs++}`);
  const { outputs } = await evaluateStage.run(await open(set), own);
  return { data: evaluationSchema.parse(JSON.parse(readFileSync(outputs.evaluation!, 'utf8'))), outputs };
}

/** Arm, alpha, and the measure under each seed. */
const rowsOf = ({ arms }: Judgement) => arms.map(({ name, alpha, bySeed }) => [name, alpha, ...bySeed.map(rounded)]);
const rounded = (value: number) => Math.round(value * 1e9) / 1e9;
/** Means of two queries, as {@link rowsOf} gives them. */
const mean = (a: number, b: number) => rounded((a + b) / 2);
const testsOf = ({ tests }: Judgement) =>
  tests.map(({ arm, baseline, delta, helped, hurt, unchanged }) => [
    `${arm} - ${baseline}`,
    rounded(delta),
    ...[helped, hurt, unchanged],
  ]);

describe('the evaluation of an alignment', () => {
  it('tunes, searches and tests the arms by hand', async () => {
    const { data, outputs } = await evaluate();
    expect(data).toMatchObject({
      dataset: { name: 'set', documents: 5, dev: 1, test: 2 },
      ...{ measure: 'MRR@10', seeds: [1, 2] },
    });
    expect(data.main.judge).toBe('five');
    expect(rowsOf(data.main)).toEqual([
      ['raw', undefined, mean(1 / 5, 1 / 3)],
      ['zeroShot', 0, mean(1 / 5, 1 / 3), mean(1 / 5, 1 / 3)],
      ['sft', 1, mean(1 / 2, 1 / 3), mean(1 / 2, 1 / 3)],
      ['aligned', 1, mean(1 / 2, 1 / 2), mean(1, 1 / 2)],
    ]);
    // "saw" wants d4: 1/5 alone, 1/2 by "ship" and "ship sea".
    expect(data.main.arms.map(({ tuning }) => tuning.map(({ alpha, value }) => [alpha, value]))).toEqual([
      ...[[], []],
      ...[
        [
          [0, 1 / 5],
          [1, 1 / 2],
        ],
        [
          [0, 1 / 5],
          [1, 1 / 2],
        ],
      ],
    ]);
    // By query: raw and zeroShot 1/5 1/3, sft 1/2 1/3, aligned 3/4 1/2.
    expect(testsOf(data.main)).toEqual([
      ['aligned - zeroShot', mean(3 / 4 - 1 / 5, 1 / 2 - 1 / 3), 2, 0, 0],
      ['aligned - raw', mean(3 / 4 - 1 / 5, 1 / 2 - 1 / 3), 2, 0, 0],
      ['aligned - sft', mean(3 / 4 - 1 / 2, 1 / 2 - 1 / 3), 2, 0, 0],
      ['sft - zeroShot', mean(1 / 2 - 1 / 5, 0), 1, 0, 1],
    ]);
    expect(data.main.arms.map(({ words }) => words)).toEqual([0, 1, 1, 7 / 4]);
    expect(data.main.settings).not.toHaveProperty('alpha');
    expect(data.main.settings).toMatchObject({ encoder: 'five', similarity: 'dot' });
    expect(data.main.settings['self-retrieval']).toBe('a document with the id of the query is left out');

    // Each query: its texts under the first seed, its values as means over the seeds.
    expect(data.queries).toMatchObject([
      {
        ...{ id: 'q0', text: 'saw', relevant: ['ship ship sea'] },
        texts: { zeroShot: ['turn'], sft: ['ship'], aligned: ['ship sea'] },
        values: { raw: 1 / 5, zeroShot: 1 / 5, sft: 1 / 2, aligned: 3 / 4 },
      },
      { id: 'q1', text: 'lamp', relevant: ['saw wood'], values: { raw: 1 / 3, sft: 1 / 3, aligned: 1 / 2 } },
    ]);

    expect(Object.keys(data.queries[0]!.texts)).toEqual(['zeroShot', 'sft', 'aligned']);

    // A run file for each arm and seed; raw has no seeds.
    expect(readdirSync(join(outputs.evaluation!, '..', 'runs')).sort()).toEqual(
      ['aligned-1', 'aligned-2', 'raw', 'sft-1', 'sft-2', 'zeroShot-1', 'zeroShot-2'].map((tag) => `${tag}.run`),
    );
    const ids = async (tag: string) => [...(await readRun(outputs[`run ${tag}`]!)).get('q0')!].map(({ id }) => id);
    expect(await ids('raw')).toEqual(['d5', 'd1', 'd2', 'd3', 'd4']);
    expect(await ids('aligned-1')).toEqual(['d5', 'd4', 'd2', 'd3', 'd1']);
    expect(await ids('aligned-2')).toEqual(['d4', 'd3', 'd2', 'd1', 'd5']);
    expect(readFileSync(outputs['run aligned-2']!, 'utf8')).toMatch(/^q0 Q0 d4 1 \S+ llm-qe-aligned-2\n/);
  });

  it('scores the controls with the alpha of their arm, by hand', async () => {
    const { controls } = (await evaluate()).data;
    // aligned: alpha 1; zeroShot: alpha 0, so that what its controls write changes nothing.
    const asQueries = [mean(1 / 5, 1 / 3), mean(1 / 5, 1 / 3)];
    expect(rowsOf(controls!)).toEqual([
      // "saw saw" and "saw" rank as "saw", "lamp lamp" as "lamp".
      ['query repeated', 1, ...asQueries],
      // q0 gets "lamp ship" (d4 first); q1 gets "ship sea", then "turn" (d2 third under both).
      ["another query's", 1, mean(1, 1 / 3), mean(1, 1 / 3)],
      ['zeroShot, equal length', 0, ...asQueries],
      // A word each: q0 "ship", then "turn"; q1 "lamp".
      ['aligned, equal length', 1, mean(1 / 2, 1 / 3), mean(1, 1 / 3)],
      ['zeroShot, own terms deleted', 0, ...asQueries],
      // q0 "ship sea", then "turn"; q1 "ship" is left.
      ['aligned, own terms deleted', 1, mean(1 / 2, 1 / 3), mean(1, 1 / 3)],
    ]);
    // Against the main arms, aligned 3/4 1/2 and raw 1/5 1/3, and among themselves.
    expect(testsOf(controls!)).toEqual([
      ['aligned - query repeated', mean(3 / 4 - 1 / 5, 1 / 2 - 1 / 3), 2, 0, 0],
      ["aligned - another query's", mean(3 / 4 - 1, 1 / 2 - 1 / 3), 1, 1, 0],
      ['aligned, equal length - zeroShot, equal length', mean(3 / 4 - 1 / 5, 0), 1, 0, 1],
      ['aligned, own terms deleted - zeroShot, own terms deleted', mean(3 / 4 - 1 / 5, 0), 1, 0, 1],
      ['aligned, own terms deleted - raw', mean(3 / 4 - 1 / 5, 0), 1, 0, 1],
    ]);
    // Words a text: "saw saw" or "saw" and "lamp lamp"; "lamp ship" and "ship sea" or "turn"; 1; 1; 1; "ship sea" or "turn" and "ship".
    expect(controls!.arms.map(({ words }) => words)).toEqual([7 / 4, 7 / 4, 1, 1, 1, 5 / 4]);
    expect(controls).toMatchObject({ judge: 'five' });
  });

  it('judges the same texts by BM25', async () => {
    const { judges } = (await evaluate()).data;
    expect(judges.map(({ judge }) => judge)).toEqual(['bm25']);
    // The query five times, then the text: "saw" finds d1 and d2, with "ship sea" d1 d2 d4, with "ship" d1 d2 d3 d4;
    // "lamp" finds d5, with "ship" d3 and d4 too, and never d2.
    expect(rowsOf(judges[0]!)).toEqual([
      ['raw', undefined, 0],
      ['zeroShot', undefined, 0, 0],
      ['sft', undefined, 1 / 8, 1 / 8],
      ['aligned', undefined, rounded(1 / 6), 0],
    ]);
    expect(judges[0]!.settings).toMatchObject({ k1: 1, b: 0, 'query repeats': 5 });
  });

  it('judges by another encoder, which is opened for it', async () => {
    const other = resolve('src/embed/goldens/tiny-encoder');
    const { judges } = (await evaluate(`evaluation.judges=[${JSON.stringify(other)}]`)).data;
    expect(judges).toHaveLength(1);
    expect(judges[0]!.judge).toContain('tiny-encoder');
    expect(judges[0]!.arms.map(({ name, tuning }) => [name, tuning.length])).toEqual([
      ['raw', 0],
      // An alpha that was tuned for the main encoder says nothing of another.
      ['zeroShot', 2],
      ['sft', 2],
      ['aligned', 2],
    ]);
  });

  it('has no sft arm, controls or other judges unless the recipe enables them', async () => {
    const { data } = await evaluate(
      ...['sft.enabled=false', 'evaluation.controls=false', 'evaluation.judges=[]', 'evaluation.keepSelf=true'],
    );
    expect(data.main.settings['self-retrieval']).toBe('a document with the id of the query is kept');
    expect(rowsOf(data.main).map(([name]) => name)).toEqual(['raw', 'zeroShot', 'aligned']);
    expect(data.main.tests.map(({ arm, baseline }) => `${arm} - ${baseline}`)).toEqual([
      'aligned - zeroShot',
      'aligned - raw',
    ]);
    expect(data.controls).toBeUndefined();
    expect(data.judges).toEqual([]);
  });

  it('reads no development queries if every alpha is given', async () => {
    const { data } = await evaluate('evaluation.armAlphas={zeroShot: 1, sft: 0, aligned: 1}');
    expect(data.dataset.dev).toBe(0);
    expect(rowsOf(data.main)).toEqual([
      ['raw', undefined, mean(1 / 5, 1 / 3)],
      // "turn" and "ship".
      ['zeroShot', 1, mean(1, 1 / 3), mean(1, 1 / 3)],
      ['sft', 0, mean(1 / 5, 1 / 3), mean(1 / 5, 1 / 3)],
      ['aligned', 1, mean(1 / 2, 1 / 2), mean(1, 1 / 2)],
    ]);
    expect(data.main.arms.every(({ tuning }) => tuning.length === 0)).toBe(true);
  });

  it('names no seed in its files if there is one', async () => {
    const { outputs } = await evaluate('expansion.seeds=[1]', 'evaluation.controls=false', 'evaluation.judges=[]');
    expect(Object.keys(outputs).sort()).toEqual(['evaluation', 'run aligned', 'run raw', 'run sft', 'run zeroShot']);
  });

  it('keeps at most three of the best documents of each query, and the beginning of each', async () => {
    writeFileSync(at('set', 'qrels', 'many.tsv'), 'q0\td1\t1\nq0\td2\t3\nq0\td3\t2\nq0\td4\t4\nq0\td5\t0\nq1\td5\t0\n');
    const { data } = await evaluate('data.testSplit=many', 'evaluation.controls=false', 'evaluation.judges=[]');
    // In the order of the corpus.
    expect(data.queries.map(({ relevant }) => relevant)).toEqual([['saw wood', 'ship ship ship', 'ship ship sea'], []]);
  });

  it('reports its progress per arm and judge', async () => {
    let [total, advanced, finished] = [0, 0, 0];
    const task: ProgressTask = { ...SILENT.task('', 0, ''), advance: () => advanced++, done: () => finished++ };
    const progress: Progress = {
      ...SILENT,
      task(what, size, unit) {
        if (what !== 'evaluating arms') return SILENT.task(what, size, unit);
        total = size ?? 0;
        return task;
      },
    };
    const context = await open(['evaluation.controls=false']);
    await evaluateStage.run({ ...context, options: { ...context.options, progress } }, at('told'));
    // Four arms by the encoder and by BM25.
    expect([total, advanced, finished]).toEqual([8, 8, 1]);
  });

  it('ends when it is stopped', async () => {
    const stop = new AbortController();
    const context = await open([], stop.signal);
    stop.abort();
    await expect(
      evaluateStage.run({ ...context, options: { ...context.options, signal: stop.signal } }, at('stopped')),
    ).rejects.toBeInstanceOf(AbortedError);
  });
});

describe('the key of an evaluation', () => {
  let opened: Promise<AlignmentContext>;
  beforeAll(() => {
    opened = open();
  });

  async function key(...set: string[]): Promise<string> {
    return contentKey(keyedSettings(evaluateStage, withRecipe(await opened, parseRecipe(RECIPE, 'five.yaml', set))));
  }

  it('changes with everything that determines a score', async () => {
    const usual = await key();
    expect(await key()).toBe(usual);
    const changes = [
      ...['evaluation.seed=6', 'evaluation.alphas=[0]', 'evaluation.measure=ndcg_cut_10', 'evaluation.judges=[]'],
      ...['evaluation.depth=4', 'evaluation.controls=false', 'evaluation.keepSelf=true', 'sft.enabled=false'],
      ...['evaluation.armAlphas={aligned: 0.5}', 'encoder.similarity=cosine', 'encoder.expansionRole=document'],
    ];
    const keys = await Promise.all(changes.map((change) => key(change)));
    expect(new Set([usual, ...keys]).size).toBe(changes.length + 1);
    // The recipe's seed counts if the evaluation has none.
    expect(await key('seed=6')).toBe(await key('evaluation.seed=6'));
  });

  it('holds the hash of each expansion file, and no name of a split', async () => {
    const inputs = evaluateStage.inputs(await opened) as { expansions: Record<string, string> };
    expect(inputs).toMatchObject({
      encoder: { model: 'five-1' },
      expansions: { 'zeroShot dev-1': 'of dev-1', 'aligned test-2': 'of test-2', 'sft test-1': 'of test-1' },
    });
    expect(Object.keys(inputs.expansions)).toHaveLength(9);
    const { dev, test } = (await opened).data.judged.hashes;
    expect(dev).not.toBe(test);
    expect(inputs).toMatchObject({ judges: ['bm25'], qrels: [dev, test] });
  });

  it('identifies another encoder by its weights', async () => {
    const name = resolve('src/embed/goldens/tiny-encoder');
    const context = await open([`evaluation.judges=[${JSON.stringify(name)}, bm25]`]);
    const { judges } = evaluateStage.inputs(context) as { judges: string[] };
    expect(judges).toEqual([context.models.judges[name], 'bm25']);
    expect(judges[0]).not.toBe(name);
  });
});
