import { join } from 'node:path';
import { exportGguf, GGUF_ARCHITECTURES, makeConvertedCopy, type TensorInfo } from '../../models/index.ts';
import { CacheKind, contentKey, type Progress } from '../../system/index.ts';

/**
 * Types that llama.cpp multiplies on a processor one row with one vector at a time; for Q8_0 it has kernels that take many
 * vectors at once. Measured with 32 sequences of SmolLM2-135M: Q8_0 writes twice as many tokens a second as Q4_1, and
 * more with one sequence too.
 */
const SLOW_TYPES: ReadonlySet<string> = new Set(['Q4_1', 'Q5_1']);

/** What says whether a copy is worth while. */
export interface WeightFacts {
  architecture: string;
  tensors: readonly TensorInfo[];
}

/** Whether most weights of a model are of a slow type, and a copy in a quick one can be made. */
export function wantsQuickCopy({ architecture, tensors }: WeightFacts): boolean {
  if (!Object.hasOwn(GGUF_ARCHITECTURES, architecture)) return false;
  const [slow, all] = [tensors.filter(({ dtype }) => SLOW_TYPES.has(dtype)), tensors].map((some) =>
    some.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
  );
  return slow! > all! / 2;
}

/** Raise it if the same file would give another copy. */
const FORMAT = 1;

export const QUICK_WEIGHTS_CACHE = new CacheKind({
  name: 'quick-weights',
  format: FORMAT,
  what: 'Q8_0 copies of LLMs',
});

/** Where the copy of a model stands, or will. @param fingerprint the content key of its file */
export function quickCopyFile(fingerprint: string): string {
  const key = contentKey({ format: FORMAT, model: fingerprint, type: 'Q8_0' }).slice(0, 32);
  return join(QUICK_WEIGHTS_CACHE.folder(), `${key}.gguf`);
}

/**
 * The path of the model's copy with its weights in Q8_0, made in the cache if it is missing or damaged. The weights differ from those of the
 * file by at most 1/254 of the largest of their block of 32, which is small beside what 4 or 5 bits lost before.
 *
 * @param model the GGUF file, and the content key of it
 * @throws ResourceError when the disk is full; ModelError for weights that cannot be read
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
