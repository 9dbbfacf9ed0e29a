import { z } from 'zod';
import { EXPORT_DTYPES, exportSafetensors, readAdapter, resolveAdapter } from '../../models/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { defineCommand } from '../command.ts';
import { modelFiles } from '../command-files.ts';
import { baseOption, hashesOf, locateBase } from '../export-base.ts';

const options = z.object({
  base: baseOption,
  adapter: z
    .string()
    .describe('LoRA adapter that was trained on that model: a folder in PEFT layout')
    .meta({ valueName: 'DIR' }),
  out: z.string().describe('a new folder for the merged model').meta({ valueName: 'DIR' }),
  dtype: z.enum(EXPORT_DTYPES).default('float32').describe('element type of the weights'),
  maxShard: z.coerce
    .number()
    .positive()
    .default(5)
    .describe('maximum size of one weights file, in GB')
    .meta({ valueName: 'GB' }),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'models merge',
  summary: 'merge a LoRA adapter into its base model',
  description:
    'Writes a folder for Transformers, vLLM and others: safetensors, config.json and the tokenizer. Each adapted weight becomes\nW + scale B A, computed in 32-bit arithmetic. Only one tensor at a time is in memory. A GGUF base model is dequantised first.',
  options,
  examples: [
    [
      'llm-qe models merge --base ./llama --adapter runs/dpo/adapter --out ./llama-qe --dtype bfloat16',
      'a model to serve, in bfloat16',
    ],
    [
      'llm-qe models merge --base smollm2-135m-instruct --adapter runs/dpo/adapter --out ./smollm2-qe',
      'the default model, converted from GGUF to a Transformers folder',
    ],
  ],
  files: ({ base, adapter, out }) => ({
    inputs: { '--base': base, ...modelFiles('--base', base), ...modelFiles('--adapter', adapter) },
    outputFolders: { '--out': out },
  }),
  async run({ base, adapter, out, dtype, maxShard, offline }, { signal, progress, say, json }) {
    const folder = await resolveAdapter(adapter, { offline, signal, progress });
    const weights = await readAdapter(folder);
    const path = await locateBase(base, offline, { signal, progress });
    const maxShardBytes = maxShard * 1e9;
    const isNew = await exportSafetensors(out, {
      base: path,
      adapter: weights,
      adapterFile: adapter,
      madeFrom: await hashesOf(path, folder, { signal, progress }),
      dtype,
      maxShardBytes,
      signal,
      progress,
    });
    say(`${out}: ${base} with ${adapter}, ${dtype}${isNew ? '' : ' (finished before)'}`);
    json({ out, base: path, adapter, dtype, reused: !isNew });
  },
});
