import { join } from 'node:path';
import { exportGguf, GGUF_ARCHITECTURES, makeConvertedCopy, type TensorInfo } from '../../models/index.ts';
import { CacheKind, contentKey, type Progress } from '../../system/index.ts';

/**
 * Types that llama.cpp multiplies on a processor one row and one vector at a time. For Q8_0 it has kernels that take many vectors
 * at once. Measured with 32 sequences of SmolLM2-135M: Q8_0 writes twice as many tokens per second as Q4_1.
 */
const SLOW_TYPES: ReadonlySet<string> = new Set(['Q4_1', 'Q5_1']);

/** The facts that decide whether a copy is worthwhile. */
export interface WeightFacts {
  architecture: string;
  tensors: readonly TensorInfo[];
}

/** Returns whether most weights of a model are of a slow type and can be copied to a quick one. */
export function wantsQuickCopy({ architecture, tensors }: WeightFacts): boolean {
  if (!Object.hasOwn(GGUF_ARCHITECTURES, architecture)) return false;
  const [slow, all] = [tensors.filter(({ dtype }) => SLOW_TYPES.has(dtype)), tensors].map((some) =>
    some.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
  );
  return slow! > all! / 2;
}

/** Raise it whenever the same file would give a different copy. */
const FORMAT = 1;

export const QUICK_WEIGHTS_CACHE = new CacheKind({
  name: 'quick-weights',
  format: FORMAT,
  what: 'Q8_0 copies of LLMs',
});

/** Path of a model's copy, whether or not it exists. @param fingerprint the content key of the model's file */
export function quickCopyFile(fingerprint: string): string {
  const key = contentKey({ format: FORMAT, model: fingerprint, type: 'Q8_0' }).slice(0, 32);
  return join(QUICK_WEIGHTS_CACHE.folder(), `${key}.gguf`);
}

/**
 * Returns the path of the model's copy with weights in Q8_0. Creates it in the cache if it is missing or damaged. Each weight
 * differs from the file's by at most 1/254 of the largest weight in its block of 32, which is little compared with the loss of the
 * original 4 or 5 bits.
 *
 * @param model the GGUF file and its content key
 * @throws ResourceError if the disk is full; ModelError if the weights cannot be read
 */
export async function quickCopyOf(
  model: { path: string; fingerprint: string },
  options: { signal?: AbortSignal | undefined; progress?: Progress | undefined } = {},
): Promise<string> {
  const copy = quickCopyFile(model.fingerprint);
  const make = () => exportGguf(copy, { base: model.path, type: 'Q8_0', ...options });
  await makeConvertedCopy(copy, make, options);
  await QUICK_WEIGHTS_CACHE.note(copy, model.path);
  return copy;
}
