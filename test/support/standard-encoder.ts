import { join } from 'node:path';
import { env, InferenceSession, Tensor } from 'onnxruntime-web';

// One thread needs no worker, and no header of a server that allows shared memory.
env.wasm.numThreads = 1;

/** Runs a file that `--to transformers.js` wrote in the runtime of browsers (WebAssembly), as transformers.js feeds it. */
export async function runInBrowserRuntime(
  folder: string,
  name: 'model' | 'model_quantized',
  texts: readonly Int32Array[],
): Promise<{ tokens: Float32Array; vectors: Float32Array }> {
  const session = await InferenceSession.create(join(folder, 'onnx', `${name}.onnx`));
  const longest = Math.max(...texts.map(({ length }) => length));
  const [ids, mask] = [new BigInt64Array(texts.length * longest), new BigInt64Array(texts.length * longest)];
  for (const [row, text] of texts.entries()) {
    for (const [at, id] of text.entries()) {
      ids[row * longest + at] = BigInt(id);
      mask[row * longest + at] = 1n;
    }
  }
  const shape = [texts.length, longest];
  const feeds = { input_ids: new Tensor('int64', ids, shape), attention_mask: new Tensor('int64', mask, shape) };
  const { last_hidden_state: tokens, sentence_embedding: vectors } = await session.run(feeds);
  await session.release();
  return { tokens: tokens!.data as Float32Array, vectors: vectors!.data as Float32Array };
}

/** The largest difference of two lists of numbers. */
export function farthest(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return a.reduce((largest, value, at) => Math.max(largest, Math.abs(value - b[at]!)), 0);
}
