import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTokenScorer } from '../../src/generate/index.ts';
import {
  DEFAULT_GENERATOR,
  exportGguf,
  type LoraAdapter,
  ModelStore,
  parseLoraConfig,
  writeAdapter,
} from '../../src/models/index.ts';
import { type Head, llamaLogProbabilities, llamaModel, operations, TrainingStep } from '../../src/nn/index.ts';
import { Random } from '../../src/system/index.ts';
import { type GeneratorBase, openGeneratorBase } from '../../src/train/generator/generator-base.ts';

const TEXT =
  '<|im_start|>user\nPlease write a passage to answer the question.\nQuestion: What is meant by vinaigrette?\nPassage:' +
  '<|im_end|>\n<|im_start|>assistant\nVinaigrette is a sauce of oil and vinegar, poured over salads.<|im_end|>\n';

let folder: string;
let base: GeneratorBase;
let exact: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-parity-'));
  const model = await new ModelStore().resolve(DEFAULT_GENERATOR, { kind: 'generator' });
  base = await openGeneratorBase(model);
  exact = join(folder, 'exact.gguf');
  await exportGguf(exact, { base: model.path, type: 'F32' });
});
afterAll(async () => {
  await base.close();
  await rm(folder, { recursive: true });
});

/** On the query and value projections of all layers, large enough to change every token's probability. */
function randomAdapter(): LoraAdapter {
  const given = {
    peft_type: 'LORA',
    r: 4,
    lora_alpha: 8,
    target_modules: ['q_proj', 'v_proj'],
    task_type: 'CAUSAL_LM',
  };
  const config = parseLoraConfig('adapter_config.json', JSON.stringify(given));
  const random = new Random(5);
  const draw = (shape: number[]) => {
    return { shape, data: Float32Array.from({ length: shape[0]! * shape[1]! }, () => random.normal() * 0.05) };
  };
  const { hidden, heads, keyHeads, headSize, layers } = base.config;
  const tensors: LoraAdapter['tensors'] = new Map();
  for (let layer = 0; layer < layers; layer++) {
    for (const [kind, count] of [
      ['q', heads],
      ['v', keyHeads],
    ] as const) {
      const module = `model.layers.${layer}.self_attn.${kind}_proj`;
      tensors.set(`${module}.lora_A.weight`, draw([4, hidden]));
      tensors.set(`${module}.lora_B.weight`, draw([count * headSize, 4]));
    }
  }
  return { config, tensors };
}

const head: Head = (weights, x) => {
  const logs = llamaLogProbabilities(weights, base.config, x);
  return { loss: operations.reduceSum(logs, [0, 1]), outputs: { logs } };
};

async function ofEngine(tokens: readonly number[], adapter?: LoraAdapter): Promise<Float32Array> {
  const lowRank = (module: string) => {
    return adapter?.tensors.has(`${module}.lora_A.weight`) ? { rank: 4, scale: 2, dropout: 0 } : undefined;
  };
  const model = llamaModel(base.checkpoint, base.config, { adapter: lowRank });
  const { step, parameters } = await TrainingStep.open(model, head, {
    ...{ cache: join(folder, 'graphs'), fingerprint: base.fingerprint, mode: 'whole', memory: 0, largest: {} },
    ...{ threads: 2, device: 'cpu' },
  });
  for (const name of parameters.names()) parameters.set(name, adapter!.tensors.get(name)!.data.slice());
  const int32 = (shape: number[], value: (index: number) => number) => {
    return { dtype: 'int32' as const, shape, data: Int32Array.from({ length: shape[1]! }, (_, index) => value(index)) };
  };
  const [all, scored] = [
    [1, tokens.length],
    [1, tokens.length - 1],
  ];
  const { outputs } = await step.evaluate(
    {
      tokens: int32(all, (index) => tokens[index]!),
      positions: int32(all, (index) => index),
      text: int32(all, () => 0),
      branch: int32(all, () => 0),
      scored: int32(scored, (index) => index),
      targets: int32(scored, (index) => tokens[index + 1]!),
    },
    parameters,
  );
  await step.close();
  return outputs.logs!.data as Float32Array;
}

async function ofLlamaCpp(adapterFolder?: string): Promise<{ tokens: number[]; logs: Float64Array }> {
  const adapters = adapterFolder === undefined ? [] : [{ path: adapterFolder }];
  const scorer = await openTokenScorer(exact, { adapters, cache: 'f32' });
  const tokens = scorer.tokenize(TEXT);
  const logs = await scorer.score(tokens);
  await scorer.close();
  return { tokens, logs };
}

function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (number, index) => Math.abs(number - b[index]!)));
}

test("the default model's log-probabilities are those of llama.cpp on the same weights", async () => {
  const { tokens, logs } = await ofLlamaCpp();
  expect(worst(await ofEngine(tokens), logs)).toBeLessThan(1e-3);
});

test('and with an adapter, too', async () => {
  const adapter = randomAdapter();
  await writeAdapter(join(folder, 'adapter'), adapter);
  const plain = await ofLlamaCpp();
  const { tokens, logs } = await ofLlamaCpp(join(folder, 'adapter'));
  expect(worst(plain.logs, logs)).toBeGreaterThan(0.05);
  expect(worst(await ofEngine(tokens, adapter), logs)).toBeLessThan(1e-3);
});
