import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RetrieverRow } from '../../data/index.ts';
import { UsageError } from '../../system/index.ts';
import type { RetrieverTrainingInput } from '../retriever/retriever-settings.ts';
import { type ExportEngine, exportRetrieverTraining } from './retriever-export.ts';

const MODEL = {
  ...{ name: 'tiny', path: fileURLToPath(new URL('../../embed/goldens/tiny-encoder', import.meta.url)) },
  ...{ format: 'safetensors' as const, fingerprint: 'tiny', source: 'goldens' },
};
const row: RetrieverRow = {
  ...{ id: 'q1', query: 'who', expansions: ['he', ' ', 'she'] },
  positives: [{ id: 'd1', text: 'yes' }, { text: 'indeed' }],
  negatives: [{ text: 'yes' }, { id: 'd1', text: 'same id' }, { text: ' ' }, { id: 'd2', text: 'no' }],
  scores: { positives: [2, 1.5], negatives: [2, 2, 0, -1] },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-retriever-export-'));
});
afterAll(() => rm(folder, { recursive: true }));

let runs = 0;
async function exported(engine: ExportEngine, settings: RetrieverTrainingInput, rows = [row]) {
  const out = join(folder, `${runs++}`);
  const cluster = { processes: 2, hardware: 'gpu' } as const;
  const result = await exportRetrieverTraining(engine, {
    encoder: MODEL,
    rows,
    file: 'rows.jsonl',
    out,
    settings,
    cluster,
  });
  const lines = (await readFile(join(out, 'train.jsonl'), 'utf8')).trim().split('\n');
  return { ...result, lines: lines.map((line) => JSON.parse(line)) };
}

/** The words that the shell script starts its program with. */
async function wordsOf(out: string): Promise<string[]> {
  const bin = join(out, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'torchrun'), '#!/bin/sh\nprintf "%s\\n" "$@" > words.txt\n', { mode: 0o755 });
  const env = { PATH: `${bin}:${process.env.PATH}` };
  expect(spawnSync('sh', [join(out, 'train.sh')], { env }).status).toBe(0);
  return (await readFile(join(out, 'words.txt'), 'utf8')).trim().split('\n');
}

test("Tevatron's layout and command line", async () => {
  const empty = { ...row, id: 'q2', negatives: [] };
  const result = await exported('tevatron', { querySide: 'concat', batchSize: 8, temperature: 0.05 }, [row, empty]);
  expect(result).toMatchObject({ rows: 2, examples: 1, skipped: 1 });
  expect(result.lines).toEqual([
    {
      ...{ query_id: 'q1', query: 'who he she' },
      positive_passages: [
        { docid: 'd1', text: 'yes' },
        { docid: 'q1-p1', text: 'indeed' },
      ],
      negative_passages: [{ docid: 'd2', text: 'no' }],
    },
  ]);
  const words = (await wordsOf(result.folder)).join(' ');
  expect(words).toMatch(
    /^--nproc_per_node 2 -m tevatron\.retriever\.driver\.train --output_dir model --dataset_name json/,
  );
  expect(words).toContain('--pooling cls --normalize');
  expect(words).toContain('--per_device_train_batch_size 4');
  expect(words).toContain('--query_prefix what is the ');
  expect(words).toContain(`--model_name_or_path ${MODEL.path}`);
});

test("FlagEmbedding's layout, with scores, one example for each expansion", async () => {
  const { lines, folder: out } = await exported('flagembedding', { querySide: 'expansion', method: 'kl' });
  const rest = { pos: ['yes', 'indeed'], neg: ['no'], pos_scores: [2, 1.5], neg_scores: [-1] };
  expect(lines).toEqual([
    { query: 'he', ...rest },
    { query: 'she', ...rest },
  ]);
  const words = await wordsOf(out);
  expect(words[words.indexOf('--query_instruction_for_retrieval') + 1]).toBe('what is the ');
  expect(words.join(' ')).toContain('--knowledge_distillation True --kd_loss_type kl_div');
});

test.each<[string, ExportEngine, RetrieverTrainingInput, RegExp]>([
  ['the mean of vectors', 'tevatron', {}, /one text, so it cannot train on mean/],
  ['distillation', 'flagembedding', { method: 'distil' }, /does not know distil/],
  ['scores', 'tevatron', { method: 'kl', querySide: 'query' }, /does not know kl/],
  ['the query side alone', 'tevatron', { train: 'query', querySide: 'query' }, /one encoder for both sides/],
  ['margins', 'flagembedding', { relativeMargin: 0.05, querySide: 'query' }, /does not filter/],
  ['an odd batch', 'tevatron', { batchSize: 7, querySide: 'query' }, /cannot be divided/],
])('%s is refused', async (_what, engine, settings, message) => {
  const failure = await exported(engine, settings).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(UsageError);
  expect((failure as Error).message).toMatch(message);
});

test('an earlier export is replaced; what came from elsewhere stays', async () => {
  const [settings, out] = [{ querySide: 'query' as const }, join(folder, 'again')];
  const write = () => exportRetrieverTraining('tevatron', { encoder: MODEL, rows: [row], out, settings });
  await write();
  expect(await write()).toMatchObject({ examples: 1 });
  await rm(join(out, 'train.sh'));
  await expect(write()).rejects.toThrow(/holds another train.jsonl/);
  await writeFile(join(out, 'train.sh'), 'echo mine');
  await expect(write()).rejects.toThrow(/holds another train.sh/);
  await writeFile(join(out, 'training.json'), '{}');
  await expect(write()).rejects.toThrow(/holds a training/);
  expect(await readFile(join(out, 'train.sh'), 'utf8')).toBe('echo mine');
});

test('a file without a row to train on is refused', async () => {
  const failure = exported('tevatron', { querySide: 'query' }, [{ ...row, positives: [] }]);
  await expect(failure).rejects.toMatchObject({ name: 'DataError', file: 'rows.jsonl' });
});
