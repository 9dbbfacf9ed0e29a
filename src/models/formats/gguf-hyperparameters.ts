import { z } from 'zod';
import { ModelError } from '../../system/index.ts';
import type { TensorInfo } from './checkpoint-contract.ts';

/** Far beyond any model, and near enough that products of two stay whole numbers. */
const LARGEST = 2 ** 24;
const size = z.number().int().min(1).max(LARGEST);
/** Some models have a number for each layer; layers without attention or without a feed-forward network have 0 there. */
const sizes = z.union([size, z.array(z.number().int().min(0).max(LARGEST)).max(LARGEST)]);
const epsilon = z.number().gt(0).lt(1);
const positive = z.number().gt(0).max(1e12);

/**
 * Numbers of a GGUF header that llama.cpp computes with unasked: with a zero, a NaN or a negative one it ends the whole process. Keys
 * stand behind the architecture's name.
 */
const SCHEMA = z.object({
  block_count: z.number().int().min(1).max(4096).optional(),
  context_length: z
    .number()
    .int()
    .min(1)
    .max(2 ** 31)
    .optional(),
  embedding_length: size.optional(),
  feed_forward_length: sizes.optional(),
  'attention.head_count': sizes.optional(),
  'attention.head_count_kv': sizes.optional(),
  'attention.key_length': size.optional(),
  'attention.value_length': size.optional(),
  'attention.layer_norm_epsilon': epsilon.optional(),
  'attention.layer_norm_rms_epsilon': epsilon.optional(),
  'attention.sliding_window': z
    .number()
    .int()
    .min(0)
    .max(2 ** 31)
    .optional(),
  'rope.dimension_count': size.optional(),
  'rope.freq_base': positive.optional(),
  'rope.scale_linear': positive.optional(),
  'rope.scaling.factor': z.number().min(0).max(1e12).optional(),
  'rope.scaling.original_context_length': z
    .number()
    .int()
    .min(0)
    .max(2 ** 31)
    .optional(),
  expert_count: z.number().int().min(0).max(4096).optional(),
  expert_used_count: z.number().int().min(0).max(4096).optional(),
});

/** Architectures without attention or feed-forward networks write zeros for what they do not have. */
const WITHOUT = /mamba|rwkv|jamba|granite.*hybrid|nemotron_h|lfm|plamo/;

/** Weights whose rows a number of the header counts, in the first layer. */
const ROWS = { feed_forward_length: ['blk.0.ffn_up.weight', 'blk.0.ffn_gate.weight'] };

/**
 * Checks the numbers of a GGUF language model before llama.cpp sees them, against bounds and against the weights.
 *
 * @param file what errors name
 * @throws ModelError naming the key
 */
export function checkHyperparameters(
  file: string,
  metadata: Readonly<Record<string, unknown>>,
  tensors: readonly TensorInfo[],
): void {
  const architecture = String(metadata['general.architecture'] ?? '');
  if (WITHOUT.test(architecture)) return;
  const prefix = `${architecture}.`;
  const own = Object.entries(metadata).filter(([key]) => key.startsWith(prefix));
  const stated = Object.fromEntries(own.map(([key, value]) => [key.slice(prefix.length), asNumber(value)]));
  const parsed = SCHEMA.safeParse(stated);
  if (!parsed.success) {
    const [{ path }] = parsed.error.issues as [z.core.$ZodIssue];
    throw impossible(file, prefix, String(path[0]), shown(stated[String(path[0])]));
  }
  const { expert_count: experts = 0, expert_used_count: used = 0, ...numbers } = parsed.data;
  if (used > experts) throw impossible(file, prefix, 'expert_used_count', `${used} of ${experts} experts`);
  const { 'attention.head_count': heads, 'attention.head_count_kv': keyHeads } = numbers;
  if (typeof heads === 'number' && typeof keyHeads === 'number' && heads % keyHeads !== 0) {
    throw impossible(file, prefix, 'attention.head_count_kv', `${keyHeads} for ${heads} heads`);
  }
  for (const [key, names] of Object.entries(ROWS)) {
    const rows = numbers[key as keyof typeof ROWS];
    if (typeof rows !== 'number') continue;
    // Some families keep two matrices in one tensor.
    const fits = ([found]: readonly number[]) => found === rows || found === 2 * rows;
    const other = tensors.find(({ name, shape }) => names.includes(name) && shape.length === 2 && !fits(shape));
    if (other !== undefined) {
      throw impossible(file, prefix, key, `${rows}, while ${other.name} has ${other.shape[0]} rows`);
    }
  }
}

/** 64-bit numbers come as bigint. */
function asNumber(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

function shown(value: unknown): string {
  return (Array.isArray(value) ? `[${value.slice(0, 8).join(', ')}]` : String(value)).slice(0, 80);
}

function impossible(file: string, prefix: string, key: string, value: string): ModelError {
  return new ModelError(`${prefix}${key} is ${value}, with which no model computes`, {
    file,
    fix: 'Fetch the file again, or convert the model again with a present llama.cpp.',
  });
}
