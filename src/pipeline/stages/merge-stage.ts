import { dirname, join } from 'node:path';
import { exportGguf, readAdapter } from '../../models/index.ts';
import { generatorOf, MERGE_STAGE } from '../run/generators.ts';
import { type AlignmentStage, hashOf, outputOf } from '../run/stage.ts';

/** Bytes of a weight in F16. */
const WEIGHT_BYTES = 2;
/** Weights merged per second, measured on a busy machine. */
const MERGED = 3e6;

/** Merges the adapter of the round before into its LLM: the LLM of this round. */
export const mergeStage: AlignmentStage = {
  name: MERGE_STAGE,
  version: 1,
  wanted: ({ rounds, dpo }) => rounds > 1 && !dpo.full,
  rounds: 'later',
  settings: () => ({ type: 'F16' }),
  inputs: ({ before }) => ({
    base: before && generatorOf(before).fingerprint,
    adapter: before && hashOf(before, 'dpo', 'adapter'),
    adapterConfig: before && hashOf(before, 'dpo', 'adapterConfig'),
  }),
  estimate: (_recipe, { generator: { parameters } }) => ({
    ...{ work: '1 adapter', tokens: 0, bytes: WEIGHT_BYTES * parameters },
    seconds: parameters / MERGED,
  }),
  async run({ before, options: { signal, progress } }, folder) {
    const adapterFile = dirname(outputOf(before!, 'dpo', 'adapter')!);
    const model = join(folder, 'model.gguf');
    const base = generatorOf(before!).path;
    await exportGguf(model, { base, adapter: await readAdapter(adapterFile), adapterFile, signal, progress });
    return { outputs: { model }, result: {} };
  },
};
