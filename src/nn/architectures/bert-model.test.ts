import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Checkpoint, openCheckpoint } from '../../models/index.ts';
import type { Head } from '../block-model.ts';
import { compileModel } from '../compiled-model.ts';
import { Graph, type Tensor } from '../graph.ts';
import { gather, l2Normalize, logSoftmax, matmul, multiply, pickLast, reduceSum, scalar } from '../operations/index.ts';
import type { Parameters } from '../parameters.ts';
import { Runtime } from '../runtime.ts';
import type { Values } from '../runtime-messages.ts';
import { type StepMode, TrainingStep } from '../training-step.ts';
import type { WeightPlan } from '../weight-plan.ts';
import { buildBertEncoder } from './bert.ts';
import { type BertConfig, bertConfigSchema } from './bert-config.ts';
import { type BertModelOptions, bertModel, bertVectors, packedVectors } from './bert-model.ts';
import type { Pooling } from './pooling.ts';

const GOLDENS = fileURLToPath(new URL('../goldens/bert', import.meta.url));

interface Expected {
  ids: number[][];
  attentionMask: number[][];
  lastHiddenState: number[][][];
  contrastive: {
    queries: number[][];
    passages: number[][];
    temperature: number;
    loss: number;
    queryVectors: number[][];
    passageVectors: number[][];
  };
}

let cache: string;
let checkpoint: Checkpoint;
let goldens: Checkpoint;
let config: BertConfig;
let expected: Expected;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'llm-qe-bert-'));
  checkpoint = await openCheckpoint(GOLDENS);
  goldens = await openCheckpoint(join(GOLDENS, 'gradients.safetensors'));
  config = bertConfigSchema.parse(JSON.parse(await readFile(join(GOLDENS, 'config.json'), 'utf8')));
  expected = JSON.parse(await readFile(join(GOLDENS, 'expected.json'), 'utf8'));
});
afterAll(async () => {
  await Promise.all([checkpoint, goldens].map((one) => one.close()));
  await rm(cache, { recursive: true, force: true });
});

const int32 = (shape: number[], data: number[]) => ({ dtype: 'int32' as const, shape, data: Int32Array.from(data) });

/** Makes a batch of texts, padded on the right. */
function textBatch(texts: readonly number[][]): Values {
  const longest = Math.max(...texts.map(({ length }) => length));
  const padded = texts.flatMap((text) => [...text, ...Array(longest - text.length).fill(0)]);
  const lengths = texts.map(({ length }) => length);
  return { ids: int32([texts.length, longest], padded), lengths: int32([texts.length], lengths) };
}

/** Makes one batch of queries and passages: the rows of both, and the place of each query's passage. */
function contrastiveBatch({ queries, passages }: Expected['contrastive']): Values {
  const rows = queries.map((_, index) => index);
  return {
    ...textBatch([...queries, ...passages]),
    queries: int32([queries.length], rows),
    passages: int32(
      [passages.length],
      passages.map((_, index) => queries.length + index),
    ),
    positives: int32([queries.length], rows),
  };
}

/** The same with all texts in one row, the last ones first, and three places that belong to none. */
function packedBatch(contrastive: Expected['contrastive']): Values {
  const texts = [...contrastive.queries, ...contrastive.passages];
  const order = texts.map((_text, index) => index).reverse();
  const free = [0, 0, 0];
  const inOrder = (of: (text: number[], slot: number) => number[]) =>
    order.flatMap((index, slot) => of(texts[index]!, slot));
  const ids = [...inOrder((text) => text), ...free];
  const pool = order.flatMap((own) => [
    ...inOrder((text, slot) => text.map(() => (order[slot] === own ? 1 / text.length : 0))),
    ...free,
  ]);
  const { ids: _ids, lengths: _lengths, ...places } = contrastiveBatch(contrastive);
  return {
    ...places,
    ids: int32([1, ids.length], ids),
    positions: int32([1, ids.length], [...inOrder((text) => [...text.keys()]), ...free]),
    text: int32([1, ids.length], [...inOrder((text, slot) => text.map(() => slot)), -1, -1, -1]),
    pool: { dtype: 'float32', shape: [1, order.length, ids.length], data: Float32Array.from(pool) },
    places: int32([order.length], [...order]),
  };
}

/** InfoNCE (van den Oord et al. 2018), averaged over the queries. */
const contrastive: Head = (weights, x) =>
  contrastiveOf(weights, bertVectors(weights, x, { pooling: 'mean', normalize: true }));

const contrastiveOfPacked: Head = (weights, x) => contrastiveOf(weights, l2Normalize(packedVectors(weights, x)));

function contrastiveOf(weights: WeightPlan, vectors: Tensor): ReturnType<Head> {
  const { graph } = weights;
  const rows = (name: string) => gather(vectors, graph.input(name, 'int32', [name]));
  const { temperature, queries } = expected.contrastive;
  const similarities = matmul(rows('queries'), rows('passages'), { transposeB: true, scale: 1 / temperature });
  const logs = pickLast(logSoftmax(similarities), graph.input('positives', 'int32', ['queries']));
  return { loss: multiply(reduceSum(logs, 0), scalar(logs, -1 / queries.length)), outputs: { vectors } };
}

const settings = (mode: StepMode) => {
  return { cache, fingerprint: 'bert', mode, memory: 0, largest: {}, threads: 1, device: 'cpu' as const };
};
const openStep = (head: Head, mode: StepMode, options: BertModelOptions = {}) =>
  TrainingStep.open(bertModel(checkpoint, config, options), head, settings(mode));

const close = (found: ArrayLike<number>, wanted: readonly number[], tolerance: number) => {
  expect(found.length).toBe(wanted.length);
  wanted.forEach((number, index) => {
    expect(Math.abs(found[index]! - number)).toBeLessThan(tolerance * Math.max(1, Math.abs(number)));
  });
};

test('the last hidden states equal those of Transformers', async () => {
  const head: Head = (_weights, x) => ({ loss: reduceSum(x, [0, 1, 2]), outputs: { hidden: x } });
  const { step, parameters } = await openStep(head, 'whole');
  const texts = expected.ids.map((row, text) => row.filter((_, at) => expected.attentionMask[text]![at]));
  const { outputs } = await step.evaluate(textBatch(texts), parameters);
  await step.close();
  const { data, shape } = outputs.hidden!;
  expected.lastHiddenState.forEach((rows, text) => {
    const start = text * shape[1]! * shape[2]!;
    const wanted = rows.flat();
    close((data as Float32Array).subarray(start, start + wanted.length), wanted, 1e-4);
  });
});

describe.each<StepMode>(['whole', 'blocks'])('%s', (mode) => {
  test.each<[string, Head, (texts: Expected['contrastive']) => Values, boolean]>([
    ['', contrastive, contrastiveBatch, false],
    [', several texts in a row', contrastiveOfPacked, packedBatch, true],
  ])('vectors and gradients of a contrastive loss equal those of PyTorch%s', async (_how, head, batchOf, packed) => {
    const { step, parameters } = await openStep(head, mode, { trains: () => true, packed });
    const batch = batchOf(expected.contrastive);
    const { loss, outputs, gradients } = await step.differentiate(batch, parameters, 0);
    await step.close();
    const { queryVectors, passageVectors } = expected.contrastive;
    expect(loss).toBeCloseTo(expected.contrastive.loss, 4);
    close(outputs.vectors!.data as Float32Array, [...queryVectors, ...passageVectors].flat(), 1e-5);
    const names = goldens.tensors().map(({ name }) => name);
    expect([...gradients.keys()].sort()).toEqual(names.sort());
    for (const name of names) close(gradients.get(name)!, [...(await goldens.read(name))], 1e-4);
  });

  test('gradients of a low-rank adapter equal finite differences', async () => {
    const adapter = (module: string) =>
      /\.(query|value|output\.dense)$/.test(module) ? { rank: 2, scale: 2, dropout: 0 } : undefined;
    const { step, parameters } = await openStep(contrastive, mode, { adapter, seed: 3 });
    expect(parameters.names()).toHaveLength(2 * 4 * config.num_hidden_layers);
    for (const name of parameters.names()) {
      if (!name.includes('lora_B')) continue;
      parameters.set(
        name,
        parameters.get(name).map((_, at) => 0.1 * Math.sin(at + 1)),
      );
    }
    const batch = contrastiveBatch(expected.contrastive);
    const { gradients } = await step.differentiate(batch, parameters, 0);
    for (const name of parameters.names()) {
      const direction = parameters.get(name).map((_, at) => Math.cos(3 * at + 1));
      const slope = direction.reduce((sum, d, at) => sum + d * gradients.get(name)![at]!, 0);
      const measured = await difference(step, parameters, name, direction, batch);
      expect(Math.abs(slope - measured)).toBeLessThan(5e-3 * Math.max(1, Math.abs(measured)));
    }
    await step.close();
  });
});

/** Returns the slope of the loss along a direction of one parameter, by central differences. */
async function difference(
  step: TrainingStep,
  parameters: Parameters,
  name: string,
  direction: Float32Array,
  batch: Values,
): Promise<number> {
  const size = 5e-3;
  const start = parameters.get(name).slice();
  const at = async (shift: number) => {
    parameters.set(
      name,
      start.map((value, index) => value + shift * direction[index]!),
    );
    return (await step.evaluate(batch, parameters)).loss;
  };
  const change = (await at(size)) - (await at(-size));
  parameters.set(name, start);
  return change / (2 * size);
}

test.each<Pooling>(['mean', 'cls', 'max', 'mean_sqrt_len'])('pools by %s like the encoder', async (pooling) => {
  const options = { pooling, normalize: false };
  const encoder = buildBertEncoder(checkpoint, config, { ...options, precision: 'f32' });
  const head: Head = (weights, x) => {
    const vectors = bertVectors(weights, x, options);
    return { loss: reduceSum(vectors, [0, 1]), outputs: { vectors } };
  };
  const batch = () => textBatch(expected.contrastive.passages);
  const { step, parameters } = await openStep(head, 'blocks', { trains: (name) => name.startsWith('encoder.layer.1') });
  const { outputs, gradients } = await step.differentiate(batch(), parameters, 0);
  await step.close();
  const { file } = await compileModel(encoder.graph, encoder.weights.loaders, { cache, fingerprint: 'encoder' });
  const runtime = await Runtime.open(file);
  const { vectors } = await runtime.run(batch());
  await runtime.close();
  close(outputs.vectors!.data as Float32Array, [...(vectors!.data as Float32Array)], 1e-5);
  // A shift of the last normalisation reaches the sum of all vectors once per text, or √length times.
  const share = (length: number) => (pooling === 'mean_sqrt_len' ? Math.sqrt(length) : 1);
  const reach = expected.contrastive.passages.reduce((sum, { length }) => sum + share(length), 0);
  close(gradients.get('encoder.layer.1.output.LayerNorm.bias')!, Array(config.hidden_size).fill(reach), 1e-5);
});

test('a missing or misshaped tensor is refused by name', () => {
  const planned = (tensors: Checkpoint['tensors']) => () => {
    const model = bertModel({ path: 'there', tensors, read: (name) => checkpoint.read(name) }, config);
    const weights = model.plan(new Graph(), true);
    model.blocks.reduce<ReturnType<(typeof model.blocks)[0]['build']> | undefined>(
      (x, block) => block.build(weights, x),
      undefined,
    );
  };
  const name = 'encoder.layer.1.attention.self.query.weight';
  const others = () => checkpoint.tensors().filter((tensor) => tensor.name !== name);
  expect(planned(others)).toThrow(`there: the checkpoint lacks tensor ${name}`);
  const bent = () => [...others(), { name, dtype: 'F32', shape: [16, 17] }];
  expect(planned(bent)).toThrow(`tensor ${name} has shape [16, 17], but the configuration says [16, 16]`);
});
