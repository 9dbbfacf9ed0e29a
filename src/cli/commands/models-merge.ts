import { z } from 'zod';
import { EXPORT_DTYPES, exportSafetensors, readAdapter, resolveAdapter } from '../../models/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { defineCommand } from '../command.ts';
import { adapterFiles } from '../command-files.ts';
import { baseOption, locateBase } from '../export-base.ts';

const options = z.object({
  base: baseOption,
  adapter: z
    .string()
    .describe("a LoRA adapter's folder in PEFT's layout, trained on that model")
    .meta({ valueName: 'DIR' }),
  out: z.string().describe('a new folder for the merged model').meta({ valueName: 'DIR' }),
  dtype: z.enum(EXPORT_DTYPES).default('float32').describe('element type of the weights'),
  maxShard: z.coerce
    .number()
    .positive()
    .default(5)
    .describe('size of one file of weights, in GB')
    .meta({ valueName: 'GB' }),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'models merge',
  summary: 'fold a LoRA adapter into its model',
  description:
    'Writes a folder that Transformers, vLLM and others read: safetensors, config.json and the tokenizer. Each adapted weight\nbecomes W + scale B A, computed in 32 bits; one tensor at a time is in memory. A base in GGUF is dequantised first.',
  options,
  examples: [
    [
      'llm-qe models merge --base ./llama --adapter runs/dpo/adapter --out ./llama-qe --dtype bfloat16',
      'a model to serve',
    ],
    [
      'llm-qe models merge --base smollm2-135m-instruct --adapter runs/dpo/adapter --out ./smollm2-qe',
      "the default model's GGUF becomes a Transformers folder",
    ],
  ],
  files: ({ base, adapter, out }) => ({
    inputs: { '--base': base, ...adapterFiles(adapter) },
    outputFolders: { '--out': out },
  }),
  async run({ base, adapter, out, dtype, maxShard, offline }, { signal, progress, say, json }) {
    const weights = await readAdapter(await resolveAdapter(adapter, { offline, signal, progress }));
    const path = await locateBase(base, offline, { signal, progress });
    const maxShardBytes = maxShard * 1e9;
    await exportSafetensors(out, {
      base: path,
      adapter: weights,
      adapterFile: adapter,
      dtype,
      maxShardBytes,
      signal,
      progress,
    });
    say(`${out}: ${base} with ${adapter}, ${dtype}`);
    json({ out, base: path, adapter, dtype });
  },
});
