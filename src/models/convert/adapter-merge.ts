import { ModelError } from '../../system/index.ts';
import type { Checkpoint, TensorInfo } from '../formats/checkpoint-contract.ts';
import { type LoraAdapter, type LoraPair, loraPairs } from './adapter.ts';
import { loraScale } from './adapter-config.ts';

/** The two factors of a weight change and the scale of their product. */
interface Change extends LoraPair {
  scale: number;
}

/**
 * Wraps a checkpoint with an adapter merged into it: W + scale B A, computed when a tensor is read. The sum over the
 * rank is computed in f32 in ascending order, so equal inputs always give equal bytes. Closing the wrapper closes the
 * checkpoint.
 * @param base a checkpoint with Transformers' tensor names, as in the adapter
 * @throws ModelError if the base lacks a module or its shape does not fit
 */
export function mergedCheckpoint(base: Checkpoint, adapter: LoraAdapter, adapterFile?: string): Checkpoint {
  const shapes = new Map(base.tensors().map(({ name, shape }) => [name, shape]));
  const changes = new Map<string, Change>();
  for (const pair of loraPairs(adapter, adapterFile)) {
    const name = `${pair.module}.weight`;
    checkFit(pair, shapes, base.path, adapterFile);
    changes.set(name, { ...pair, scale: loraScale(adapter.config, pair.module) });
  }
  return new MergedCheckpoint(base, changes);
}

/**
 * Checks that the factors fit the base model's weight.
 * @param shapes the shapes of the base's tensors, by Transformers' names
 * @throws ModelError
 */
export function checkFit(
  { module, a, b }: LoraPair,
  shapes: ReadonlyMap<string, readonly number[]>,
  base: string,
  file: string | undefined,
): void {
  const shape = shapes.get(`${module}.weight`);
  const fits = shape?.length === 2 && shape[0] === b.shape[0] && shape[1] === a.shape[1];
  if (fits) return;
  const isTied = module === 'lm_head' && shape === undefined;
  const found = `B A is [${b.shape[0]}, ${a.shape[1]}], but the base's weight is [${shape?.join(', ')}]`;
  const missing = isTied ? `${base} ties lm_head to its embedding, so it` : base;
  throw new ModelError(shape === undefined ? `${missing} has no ${module}.weight` : found, {
    file,
    id: module,
    fix: 'Use the model that the adapter was trained on.',
  });
}

class MergedCheckpoint implements Checkpoint {
  readonly #base: Checkpoint;
  readonly #changes: ReadonlyMap<string, Change>;

  constructor(base: Checkpoint, changes: ReadonlyMap<string, Change>) {
    this.#base = base;
    this.#changes = changes;
  }

  get path(): string {
    return this.#base.path;
  }

  tensors(): TensorInfo[] {
    return this.#base.tensors();
  }

  async read(name: string): Promise<Float32Array> {
    const weight = await this.#base.read(name);
    const change = this.#changes.get(name);
    // A copy, because the base may return its own buffer.
    return change === undefined ? weight : addProduct(weight.slice(), change);
  }

  metadata(): Record<string, unknown> {
    return this.#base.metadata();
  }

  close(): Promise<void> {
    return this.#base.close();
  }
}

/** Adds scale B A to a weight [out, in] in place. */
function addProduct(weight: Float32Array, { a, b, scale }: Change): Float32Array {
  const [rank, columns] = a.shape as [number, number];
  const sum = new Float32Array(columns);
  for (let row = 0; row < b.shape[0]!; row++) {
    sum.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = b.data[row * rank + k]!;
      const from = k * columns;
      for (let i = 0; i < columns; i++) sum[i] = sum[i]! + factor * a.data[from + i]!;
    }
    const start = row * columns;
    for (let i = 0; i < columns; i++) weight[start + i] = weight[start + i]! + scale * sum[i]!;
  }
  return weight;
}
