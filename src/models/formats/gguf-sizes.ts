import type { TensorFile } from './tensor-file.ts';

/** llama.cpp's LLAMA_MAX_LAYERS. */
const MOST_LAYERS = 512;

/**
 * Checks the sizes that a GGUF file states of its network. llama.cpp takes them on trust and ends the whole process where
 * they are absurd, so they are looked at first.
 * @throws ModelError
 */
export function checkStatedSizes(file: TensorFile, metadata: ReadonlyMap<string, unknown>): void {
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string') return;
  const check = (name: string, least: number, most: number) => {
    const key = `${architecture}.${name}`;
    const stated = metadata.get(key);
    // Newer models state some sizes layer by layer.
    for (const value of stated === undefined ? [] : Array.isArray(stated) ? stated : [stated]) {
      if (Number.isInteger(value) && value >= least && value <= most) continue;
      file.fail(`states ${String(value).slice(0, 40)}, not a whole number from ${least} to ${most}`, key);
    }
  };
  // Recurrent networks have layers without heads of attention.
  const isRecurrent = [...metadata.keys()].some((key) => /\.(ssm|wkv|shortconv)\./.test(key));
  check('block_count', 1, MOST_LAYERS);
  check('embedding_length', 1, 2 ** 20);
  check('context_length', 1, 2 ** 31 - 1);
  check(
    'attention.head_count',
    Array.isArray(metadata.get(`${architecture}.attention.head_count`)) || isRecurrent ? 0 : 1,
    2 ** 15,
  );
}
