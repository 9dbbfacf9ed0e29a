import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RetrieverRow } from '../../data/index.ts';
import { openCheckpoint, type ResolvedModel } from '../../models/index.ts';
import { readMetrics } from '../loop/metrics.ts';
import { PYTHON_VARIABLE } from '../python/python-installation.ts';
import type { RetrieverTrainingInput } from '../retriever/retriever-settings.ts';
import { trainRetriever } from '../retriever/train-retriever.ts';
import { trainRetrieverElsewhere } from './train-retriever-elsewhere.ts';

const MODEL: ResolvedModel = {
  ...{ name: 'tiny', path: fileURLToPath(new URL('../../embed/goldens/tiny-encoder', import.meta.url)) },
  ...{ format: 'safetensors', fingerprint: 'tiny', source: 'goldens' },
};
const golden = JSON.parse(await readFile(new URL('../goldens/retriever.json', import.meta.url), 'utf8'));
const rows: RetrieverRow[] = golden.rows;
const TOLERANCE = 1e-3;
const MINUTES = 60_000;

/** Batches of 3 of 8 rows, so that the last one of an epoch is smaller; warm-up, clipping and decay at work. */
const SETTINGS: RetrieverTrainingInput = {
  ...{ batchSize: 3, epochs: 2, groupSize: 3, learningRate: 2e-3, warmupSteps: 2, maxGradNorm: 1, weightDecay: 0.1 },
  ...{ saveSteps: 4, evalSteps: 3, miniBatchSize: 5, temperature: 0.1, mode: 'whole' },
};
const CASES: Record<string, RetrieverTrainingInput> = {
  'infonce, mean': { querySide: 'mean' },
  'infonce, expansion, one pass': { querySide: 'expansion', miniBatchSize: 64 },
  'infonce, mixed, margins, Matryoshka': {
    ...{ querySide: 'mixed', matryoshka: [8, 32], absoluteMargin: 0.01, relativeMargin: 0.02 },
  },
  'infonce, concat, dot': { querySide: 'concat', similarity: 'dot', temperature: 1 },
  adapter: { querySide: 'query', loraR: 4, learningRate: 2e-2 },
  'margin-mse': { method: 'margin-mse', querySide: 'query' },
  kl: { method: 'kl', teacherTemperature: 2 },
  'distil, query side': { method: 'distil', train: 'query' },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-elsewhere-parity-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** The largest difference of any weight of two encoders, and of keys' biases, whose gradient is rounding, apart. */
async function differenceOf(one: string, other: string, subfolder: string): Promise<number> {
  const [a, b] = await Promise.all([one, other].map((path) => openCheckpoint(join(path, subfolder))));
  let largest = 0;
  for (const { name } of a!.tensors().filter((tensor) => !tensor.name.endsWith('self.key.bias'))) {
    const [x, y] = [Float32Array.from(await a!.read(name)), await b!.read(name)];
    largest = x.reduce((most, value, at) => Math.max(most, Math.abs(value - y[at]!)), largest);
  }
  await Promise.all([a!.close(), b!.close()]);
  return largest;
}

describe.runIf(process.env[PYTHON_VARIABLE] !== undefined)(
  `two processes of sentence-transformers against the local engine (needs ${PYTHON_VARIABLE}, a Python with it)`,
  () => {
    test.each(Object.keys(CASES))(
      '%s: every figure, and the encoder',
      async (name) => {
        const given = { encoder: MODEL, rows, devRows: rows.slice(0, 5), settings: { ...SETTINGS, ...CASES[name] } };
        const place = join(folder, name.replace(/\W+/g, '-'));
        const cache = join(folder, 'cache');
        const local = await trainRetriever({ ...given, out: `${place}-local`, cache, threads: 1 });
        const engine = { hardware: 'cpu', processes: 2 } as const;
        const found = await trainRetrieverElsewhere({ ...given, out: place, engine });
        expect([found.steps, found.step]).toEqual([local.steps, local.step]);
        const [ours, theirs] = [await readMetrics(`${place}-local`), await readMetrics(place)];
        expect(theirs.map(({ step, split }) => [step, split])).toEqual(ours.map(({ step, split }) => [step, split]));
        const figures = ['loss', 'accuracy', 'similarity', 'negatives', 'gradientNorm', 'learningRate'];
        const far = ours.flatMap(({ step, split, values }, at) =>
          figures
            .filter((one) => values[one] !== undefined)
            .map((one) => [split, step, one, values[one]!, theirs[at]!.values[one] ?? Number.NaN] as const)
            .filter(
              ([, , , wanted, value]) => !(Math.abs(value - wanted) <= TOLERANCE * Math.max(1, Math.abs(wanted))),
            ),
        );
        expect(far).toEqual([]);
        const subfolder = given.settings.train === 'query' ? 'query_0_Transformer' : '';
        expect(await differenceOf(`${place}-local`, place, subfolder)).toBeLessThan(TOLERANCE);
      },
      5 * MINUTES,
    );
  },
);
