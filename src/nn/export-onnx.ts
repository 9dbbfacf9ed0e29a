import { z } from 'zod';
import { writeFolder } from '../models/index.ts';
import { ModelError } from '../system/index.ts';
import { bertConfigSchema } from './architectures/bert-config.ts';
import { bertModel } from './architectures/bert-model.ts';
import { llamaLogits, llamaModel } from './architectures/llama.ts';
import { llamaConfigSchema } from './architectures/llama-config.ts';
import { chain } from './block-model.ts';
import { writeGraph } from './compiled-model.ts';
import { Graph, type Tensor } from './graph.ts';
import { cast, cumulativeSum, maximum, reduceSum, subtract } from './operations/index.ts';
import type { TensorSource, WeightPlan } from './weight-plan.ts';

/**
 * Writes a model as `model.onnx` with `weights.bin` next to it, for ONNX Runtime (some operations are in its own
 * domain, com.microsoft). Inputs: `input_ids` and `attention_mask`, both int64 // [batch, sequence]. A language model
 * of the Llama family outputs `logits` // [batch, sequence, vocabulary], with padding left or right; a BERT outputs
 * `last_hidden_state` // [batch, sequence, hidden], with padding right.
 *
 * @param folder appears only when it is complete; must not hold other files
 * @param source the checkpoint with Transformers' names, and the adapter merged in
 * @param config its `config.json`
 * @throws ModelError if the family is another, or a tensor is missing or misshaped
 */
export async function exportOnnx(
  folder: string,
  source: TensorSource,
  config: unknown,
  signal?: AbortSignal,
): Promise<void> {
  const graph = new Graph();
  const ids = graph.input('input_ids', 'int64', ['batch', 'sequence']);
  const mask = cast(graph.input('attention_mask', 'int64', ['batch', 'sequence']), 'float32');
  const weights = isBert(config)
    ? encoder(graph, source, config, ids, mask)
    : decoder(graph, source, config, ids, mask);
  await writeFolder(folder, ['model.onnx', 'weights.bin'], (fresh) =>
    writeGraph(graph, weights.loaders, fresh, signal),
  );
}

function isBert(config: unknown): boolean {
  return z.looseObject({ model_type: z.literal('bert') }).safeParse(config).success;
}

function encoder(graph: Graph, source: TensorSource, given: unknown, ids: Tensor, mask: Tensor): WeightPlan {
  graph.bind('ids', cast(ids, 'int32'));
  graph.bind('lengths', cast(reduceSum(mask, 1), 'int32'));
  const model = bertModel(source, parse(bertConfigSchema, given, source));
  const weights = model.plan(graph, false);
  graph.output('last_hidden_state', chain(model.blocks, weights));
  return weights;
}

/** Builds the decoder. Padding is a separate text (-1), so no real token sees it; positions count only real tokens. */
function decoder(graph: Graph, source: TensorSource, given: unknown, ids: Tensor, mask: Tensor): WeightPlan {
  const one = graph.constant(Float32Array.of(1), []);
  const zero = graph.constant(Float32Array.of(0), []);
  const counted = maximum(subtract(cumulativeSum(mask, 1), one), zero);
  graph.bind('tokens', cast(ids, 'int32'));
  graph.bind('positions', cast(counted, 'int32'));
  graph.bind('text', cast(subtract(mask, one), 'int32'));
  graph.bind('branch', cast(subtract(mask, mask), 'int32'));
  const config = parse(llamaConfigSchema, given, source);
  const model = llamaModel(source, config);
  const weights = model.plan(graph, false);
  graph.output('logits', llamaLogits(weights, config, chain(model.blocks, weights)));
  return weights;
}

function parse<T>(schema: z.ZodType<T>, config: unknown, { path }: TensorSource): T {
  const parsed = schema.safeParse(config);
  if (parsed.success) return parsed.data;
  const why = z.prettifyError(parsed.error).replace(/\s+/g, ' ');
  throw new ModelError(`config.json: ${why}`, { file: path, fix: 'Only BERT and the Llama family can be exported.' });
}
