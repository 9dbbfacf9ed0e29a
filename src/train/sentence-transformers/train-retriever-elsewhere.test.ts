import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RetrieverRow } from '../../data/index.ts';
import { openCheckpoint, type ResolvedModel, writeSafetensors } from '../../models/index.ts';
import { AbortedError, ResourceError, UsageError } from '../../system/index.ts';
import { DivergedError } from '../loop/errors.ts';
import { readMetrics } from '../loop/metrics.ts';
import { processMark } from '../python/process-tree.ts';
import { openRetrieverBase } from '../retriever/retriever-base.ts';
import type { RetrieverTrainingInput } from '../retriever/retriever-settings.ts';
import { parseRetrieverSettings } from '../retriever/retriever-settings.ts';
import { initialEncoder } from '../retriever/trained-encoder.ts';
import {
  prepareRetrieverElsewhere,
  type TrainRetrieverElsewhereOptions,
  trainRetrieverElsewhere,
} from './train-retriever-elsewhere.ts';

/** What the script printed in a run of six steps, with held-out rows, on the rows of `goldens/retriever.json`. */
const RECORDED = fileURLToPath(new URL('../goldens/sentence-transformers/log.jsonl', import.meta.url));
const MODEL: ResolvedModel = {
  ...{ name: 'tiny', path: fileURLToPath(new URL('../../embed/goldens/tiny-encoder', import.meta.url)) },
  ...{ format: 'safetensors', fingerprint: 'tiny', source: 'goldens' },
};
const VERSIONS = { 'sentence-transformers': '6.2.0', transformers: '5.24.0', accelerate: '1.15.0', peft: null };

/**
 * Stands in for a Python with sentence-transformers: it tells versions, prints what the real script printed, and leaves checkpoints and
 * weights. FAKE_MODE makes it hang with a worker behind step 4, fail, or diverge.
 */
const FAKE_PYTHON = `
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
const [, , ...words] = process.argv;
const { FAKE_VERSIONS, FAKE_MODE, FAKE_RECORDED, FAKE_WEIGHTS, OMP_NUM_THREADS, HF_HUB_OFFLINE } = process.env;
if (words.join().includes('importlib')) {
  console.log(FAKE_VERSIONS);
  process.exit(0);
}
appendFileSync('calls.jsonl', JSON.stringify({ words, OMP_NUM_THREADS, HF_HUB_OFFLINE }) + '\\n');
if (FAKE_MODE === 'fail') {
  console.error('[rank1]: torch.OutOfMemoryError: CUDA out of memory.\\ntorch.distributed.elastic.ChildFailedError: failed');
  process.exit(1);
}
mkdirSync('output/evaluated', { recursive: true });
const done = existsSync('output/checkpoint-4') ? 4 : 0;
for (const line of readFileSync(FAKE_RECORDED, 'utf8').trim().split('\\n')) {
  const { step, split } = JSON.parse(line);
  if (step <= done) continue;
  const said = FAKE_MODE === 'diverge' && step === 2 ? line.replace(/"loss": [^,]*/, '"loss": null') : line;
  appendFileSync('output/log.jsonl', said + '\\n');
  console.log(said);
  if (split === 'dev') copyFileSync(FAKE_WEIGHTS + '/' + step + '.safetensors', 'output/evaluated/' + step + '.safetensors');
  if (step === 4 || (step === 6 && split === 'dev')) {
    mkdirSync('output/checkpoint-' + step, { recursive: true });
    copyFileSync(FAKE_WEIGHTS + '/6.safetensors', 'output/checkpoint-' + step + '/trained.safetensors');
    writeFileSync('output/checkpoint-' + step + '/trainer_state.json', JSON.stringify({ global_step: step }));
  }
  if (FAKE_MODE === 'hang' && step === 4) break;
}
if (FAKE_MODE === 'hang' || FAKE_MODE === 'diverge') {
  const worker = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'inherit' });
  mkdirSync('output/checkpoint-5', { recursive: true });
  writeFileSync('worker', String(worker.pid));
  setInterval(() => {}, 1000);
}
`;

let home: string;
let python: string;
let rows: RetrieverRow[];
let out: string;
let runs = 0;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'llm-qe-elsewhere-'));
  const program = join(home, 'program.mjs');
  await writeFile(program, FAKE_PYTHON);
  python = join(home, 'python');
  await writeFile(python, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  await chmod(python, 0o755);
  rows = JSON.parse(await readFile(new URL('../goldens/retriever.json', import.meta.url), 'utf8')).rows;
  // The weights of an evaluation are those of the base plus its step.
  const settings = parseRetrieverSettings({});
  const base = await openRetrieverBase(MODEL, settings);
  const parameters = await initialEncoder(base, settings);
  for (const step of [3, 6]) {
    const tensors = parameters.names().map((name) => ({
      ...{ name, shape: parameters.shape(name), data: parameters.get(name).map((value) => value + step) },
    }));
    await writeSafetensors(join(home, `${step}.safetensors`), tensors, {});
  }
  await base.close();
});
afterAll(() => rm(home, { recursive: true }));
beforeEach(() => {
  out = join(home, `run-${runs++}`);
});

const SETTINGS: RetrieverTrainingInput = {
  ...{ batchSize: 3, epochs: 2, groupSize: 3, learningRate: 2e-3, evalSteps: 3, saveSteps: 4, temperature: 0.1 },
};
const environment = (own: Record<string, string> = {}): NodeJS.ProcessEnv => ({
  ...{ PATH: process.env.PATH, LLM_QE_PYTHON: python, FAKE_VERSIONS: JSON.stringify(VERSIONS) },
  ...{ FAKE_RECORDED: RECORDED, FAKE_WEIGHTS: home },
  ...own,
});
const options = (more: Partial<TrainRetrieverElsewhereOptions> = {}): TrainRetrieverElsewhereOptions => ({
  ...{ encoder: MODEL, rows, devRows: rows.slice(0, 5), out, settings: SETTINGS, environment: environment() },
  ...{ engine: { hardware: 'cpu', processes: 2 } },
  ...more,
});
const run = (own: Record<string, string> = {}, more: Partial<TrainRetrieverElsewhereOptions> = {}) =>
  trainRetrieverElsewhere(options({ environment: environment(own), ...more }));
const linesOf = async (...names: string[]) =>
  (await readFile(join(out, ...names), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => expect.fail('it should have failed'),
    (error) => error,
  );

/** How much larger than the base's a weight of the result is. */
async function shiftOf(path: string): Promise<number> {
  const name = 'embeddings.LayerNorm.weight';
  const [before, after] = await Promise.all([MODEL.path, path].map((one) => openCheckpoint(one)));
  const [a, b] = [await before!.read(name), await after!.read(name)];
  await Promise.all([before!.close(), after!.close()]);
  return Math.round(b[0]! - a[0]!);
}

async function numberIn(file: string): Promise<number> {
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text !== '') return Number(text);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('a run', () => {
  test('is started, followed in our metrics, and its encoder is taken over', async () => {
    const steps: number[] = [];
    const result = await run({}, { onStep: ({ step }) => steps.push(step) });
    const recorded = (await readFile(RECORDED, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await readMetrics(out)).toEqual(recorded);
    expect(result).toMatchObject({ steps: 6, step: 6, stopped: 'finished', installation: { python } });
    expect(result.loss).toEqual({ first: recorded[0].values.loss, last: recorded.at(-2).values.loss });
    expect(await shiftOf(out)).toBe(6);
    const [call] = await linesOf('calls.jsonl');
    const launch = '-m torch.distributed.run --nnodes 1 --nproc-per-node 2 --node-rank 0 --master-addr 127.0.0.1';
    expect(call.words.join(' ')).toMatch(new RegExp(`^${launch} --master-port \\d+ train_retriever.py settings.json$`));
    expect(call).toMatchObject({ HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: expect.stringMatching(/^\d+$/) });
    expect(JSON.parse(await readFile(result.manifestFile, 'utf8'))).toMatchObject({
      ...{ stage: 'train retriever', engine: { name: 'sentence-transformers', versions: VERSIONS_INSTALLED } },
      result: { steps: 6, step: 6 },
    });
  });

  test('is read back without Python when it has finished', async () => {
    const first = await run();
    await rm(join(out, 'model.safetensors'));
    const again = await run({}, { environment: { PATH: '' } });
    expect([again.step, again.installation]).toEqual([first.step, undefined]);
    expect(await shiftOf(out)).toBe(6);
  });

  test('with an evaluation keeps the encoder that it finds best', async () => {
    const found = new Map<string, number>();
    const evaluate = async (path: string) => {
      const shift = await shiftOf(path);
      found.set(`${shift}`, { 0: 0.2, 3: 0.5, 6: 0.4 }[shift]!);
      return { 'nDCG@10': found.get(`${shift}`)! };
    };
    const { dev, step } = await run({}, { evaluate, evaluation: 'it' });
    expect([...found.keys()]).toEqual(['0', '3', '6']);
    expect({ dev, step }).toEqual({
      ...{ dev: { before: { 'nDCG@10': 0.2 }, best: { 'nDCG@10': 0.5, step: 3 } }, step: 3 },
    });
    expect(await shiftOf(out)).toBe(3);
    const evaluated = (await readMetrics(out)).filter(({ split }) => split === 'dev');
    expect(evaluated.map(({ values }) => values['nDCG@10'])).toEqual([0.5, 0.4]);
  });

  test('leaves no process behind when it is stopped, and resumes from the last complete checkpoint', async () => {
    const stop = new AbortController();
    let resolve = () => {};
    const followed = new Promise<void>((done) => {
      resolve = done;
    });
    const onStep = ({ step }: { step: number }) => {
      if (step === 4) resolve();
    };
    const stopped = failureOf(run({ FAKE_MODE: 'hang' }, { signal: stop.signal, onStep }));
    const worker = await numberIn(join(out, 'worker'));
    await followed;
    stop.abort();
    const error = await stopped;
    expect(error).toBeInstanceOf(AbortedError);
    expect(error.message).toMatch(/stopped after step 4 of 6; the last checkpoint is of step 4/);
    expect(await processMark(worker)).toBeUndefined();
    expect((await run()).steps).toBe(6);
    expect((await readMetrics(out)).map(({ step }) => step)).toEqual([1, 2, 3, 3, 4, 5, 6, 6]);
  });

  test('that fails reports the error of Python and a fix; one whose loss is not a number is stopped', async () => {
    const failed = await failureOf(run({ FAKE_MODE: 'fail' }));
    expect(failed).toBeInstanceOf(ResourceError);
    expect(failed.message).toMatch(/sentence-transformers ended with code 1: \[rank1\]: torch.OutOfMemoryError/);
    expect(failed.fix).toMatch(/miniBatchTokens/);
    const diverged = await failureOf(run({ FAKE_MODE: 'diverge' }));
    expect(diverged).toBeInstanceOf(DivergedError);
    expect(diverged).toMatchObject({ step: 2 });
  });

  test('resumes only with the same settings and rows, and not in a folder of the local engine', async () => {
    await run();
    await expect(run({}, { settings: { ...SETTINGS, learningRate: 1e-3 } })).rejects.toThrow(
      /learningRate: 0.002, now/,
    );
    await expect(run({}, { rows: rows.slice(1) })).rejects.toThrow(UsageError);
    out = `${out}-local`;
    await mkdir(out);
    await writeFile(join(out, 'training.json'), '{}');
    await expect(run()).rejects.toThrow(/engine: local, now sentence-transformers/);
    out = `${out}-own`;
    await mkdir(out);
    await writeFile(join(out, 'train.sh'), 'echo mine');
    await expect(run()).rejects.toThrow(/holds another train.sh/);
  });
});

const VERSIONS_INSTALLED = Object.fromEntries(
  Object.entries(VERSIONS).filter(([name, version]) => version !== null && name !== 'peft'),
);

test('the data hold the tokens of every text once, and by step what the local engine would take', async () => {
  const { steps, commands } = await prepareRetrieverElsewhere(options({ environment: { PATH: '' } }));
  expect([steps, commands]).toEqual([6, ['sh train.sh']]);
  const lines = await linesOf('data', 'steps.jsonl');
  expect(lines.map(({ queries, total }) => [queries.length, total])).toEqual(
    [3, 3, 2, 3, 3, 2].map((size) => [size, size]),
  );
  const tokens = new Int32Array((await readFile(join(out, 'data', 'tokens.bin'))).buffer.slice(0));
  const offsets = new BigInt64Array((await readFile(join(out, 'data', 'offsets.bin'))).buffer.slice(0));
  const base = await openRetrieverBase(MODEL, parseRetrieverSettings({}));
  const wanted = rows.flatMap(({ query, expansions }) =>
    [query, ...expansions].map((text) => base.recipe.prefixes.query + text),
  );
  const known = new Set((await base.tokenizer.encode(wanted)).map(({ ids }) => ids.join()));
  await base.close();
  for (const { texts, queries, documents } of lines) {
    for (const number of texts) {
      expect(known.has(tokens.slice(Number(offsets[number]), Number(offsets[number + 1])).join())).toBe(true);
    }
    for (const { mix, target, forbidden, negatives, score } of queries) {
      expect(mix.map(([, weight]: [number, number]) => weight)).toEqual([0.5, 0.25, 0.25]);
      expect([target < documents.length, forbidden, negatives.length, typeof score]).toEqual([true, [], 2, 'number']);
    }
  }
  expect((await linesOf('data', 'dev-steps.jsonl')).map(({ total }) => total)).toEqual([5, 5]);
});

test('documents that are relevant to another query of the batch are forbidden as its negatives', async () => {
  const same = rows.map((row) => ({ ...row, query: 'one query' }));
  await prepareRetrieverElsewhere(options({ rows: same, settings: { ...SETTINGS, querySide: 'query' } }));
  const [{ queries, documents }] = await linesOf('data', 'steps.jsonl');
  expect(queries.map(({ forbidden }: { forbidden: number[] }) => forbidden.length)).toEqual([2, 2, 2]);
  expect(documents.length).toBe(9);
});

test('a cluster needs the folder alone: no path leads out of it but that of the encoder', async () => {
  const engine = { machines: 2, processes: 4, mainProcessIp: 'first' };
  const { commands } = await prepareRetrieverElsewhere(options({ engine, settings: { ...SETTINGS, loraR: 4 } }));
  expect(commands).toEqual(['sh train.sh 0', 'sh train.sh 1']);
  const [settings, script] = await Promise.all(
    ['settings.json', 'train.sh'].map((name) => readFile(join(out, name), 'utf8')),
  );
  expect(`${settings}${script}`.replace(JSON.stringify(MODEL.path), '')).not.toMatch(new RegExp(`"/|${home}`));
  expect(JSON.parse(settings!)).toMatchObject({ lora: { loraR: 4, loraAlpha: 8 }, warmupSteps: 1, steps: 6 });
  const bin = join(out, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'py'), '#!/bin/sh\nprintf "%s\\n" "$@" > words.txt\n', { mode: 0o755 });
  const env = { PATH: process.env.PATH, PYTHON: join(bin, 'py') };
  expect(spawnSync('sh', [join(out, 'train.sh'), '1'], { env, cwd: home }).status).toBe(0);
  expect((await readFile(join(out, 'words.txt'), 'utf8')).trim().split('\n').join(' ')).toBe(
    '-m torch.distributed.run --nnodes 2 --nproc-per-node 4 --node-rank 1 --master-addr first --master-port 29500 train_retriever.py settings.json',
  );
});

test.each<[string, RetrieverTrainingInput, RegExp]>([
  ['ridge', { method: 'ridge' }, /method: ridge/],
  ['a projection', { train: 'projection' }, /train: a projection/],
  ['stopping early', { earlyStoppingPatience: 2 }, /earlyStoppingPatience/],
  ['a figure that it does not report', { metricForBestModel: 'mrr' }, /metricForBestModel/],
])('%s is refused before any work', async (_what, settings, message) => {
  const failure = await failureOf(
    run({}, { settings: { ...SETTINGS, ...settings }, encoder: { ...MODEL, path: '/nowhere' } }),
  );
  expect(failure).toBeInstanceOf(UsageError);
  expect(failure.message).toMatch(message);
});

test('an adapter needs PEFT, and the fix installs it', async () => {
  const failure = await failureOf(run({}, { settings: { ...SETTINGS, loraR: 2 } }));
  expect(failure.message).toMatch(/cannot run sentence-transformers: peft is missing/);
  expect(failure.fix).toMatch(/pip install "sentence-transformers\[train\]>=5\.1,<7" peft$/);
});
