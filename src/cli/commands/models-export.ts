import { z } from 'zod';
import { type EncoderRecipe, exportTransformersJs, type TransformersJsFolder } from '../../embed/index.ts';
import {
  checkAdapterFits,
  EXPORT_DTYPES,
  type ExportOptions,
  exportGguf,
  exportGgufAdapter,
  exportSafetensors,
  GGUF_TYPES,
  type LoraAdapter,
  ModelStore,
  readAdapter,
  resolveAdapter,
  sourceSettings,
  withSource,
  writeAdapter,
} from '../../models/index.ts';
import { exportOnnx } from '../../nn/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { UsageError } from '../../system/index.ts';
import { defineCommand } from '../command.ts';
import { modelFiles } from '../command-files.ts';
import { baseOption, hashesOf, locateBase } from '../export-base.ts';

const TARGETS = ['peft', 'safetensors', 'gguf', 'gguf-adapter', 'onnx', 'transformers.js'] as const;
type Target = (typeof TARGETS)[number];

const options = z.object({
  base: baseOption,
  adapter: z.string().optional().describe('LoRA adapter: a folder in PEFT layout').meta({ valueName: 'DIR' }),
  to: z.enum(TARGETS).describe('format to write'),
  out: z
    .string()
    .describe('a new folder (peft, safetensors, onnx, transformers.js), or a file (gguf, gguf-adapter)')
    .meta({ valueName: 'PATH' }),
  type: z.enum(GGUF_TYPES).optional().describe('element type of --to gguf (default F16)'),
  dtype: z.enum(EXPORT_DTYPES).optional().describe('element type of --to safetensors (default float32)'),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Given = z.output<typeof options>;

export const command = defineCommand({
  name: 'models export',
  summary: 'write a model or an adapter in the layout of another program',
  description:
    '--to gguf writes one file for llama.cpp, Ollama and this program; --to safetensors writes a folder for Transformers and vLLM.\nBoth merge the adapter, if one is given, into the model. --to gguf-adapter and --to peft write the adapter alone, for llama.cpp\nand for PEFT, after a check that it fits the base model. --to onnx writes a folder for ONNX Runtime (model.onnx and\nweights.bin) that maps input_ids and attention_mask to logits. Supported: Llama, Mistral, Qwen2 and Qwen3 models; for onnx\nalso encoders of the BERT family, whose output is last_hidden_state.',
  options,
  examples: [
    [
      'llm-qe models export --base smollm2-135m-instruct --adapter runs/dpo/adapter --to gguf --type Q8_0 --out qe.gguf',
      'the trained model as one file; use it with --generator qe.gguf',
    ],
    [
      'llm-qe models export --base smollm2-135m-instruct --adapter runs/dpo/adapter --to gguf-adapter --out qe-lora.gguf',
      'the adapter for llama.cpp',
    ],
    ['llm-qe models export --base ./llama --to gguf --out llama.gguf', 'convert a Transformers folder to GGUF, in F16'],
    ['llm-qe models export --base runs/retriever --to transformers.js --out web', 'a trained encoder for a browser'],
  ],
  files({ base, adapter, to, out }) {
    const inputs = { '--base': base, ...modelFiles('--base', base), ...modelFiles('--adapter', adapter) };
    const isFile = to === 'gguf' || to === 'gguf-adapter';
    return isFile ? { inputs, outputs: { '--out': out } } : { inputs, outputFolders: { '--out': out } };
  },
  async run(given, { signal, progress, say, json }) {
    checkTypes(given);
    const { base, adapter, to, out, offline } = given;
    if (to === 'transformers.js') {
      const model = await new ModelStore({ offline, progress }).resolve(base, { kind: 'encoder', signal });
      const written = await exportTransformersJs(out, model, { signal });
      for (const { folder, role, recipe } of written) say(`${folder}: ${describeForWeb(role, recipe)}`);
      json({ out, base: model.path, to, folders: written.map(({ folder, role }) => ({ folder, role })) });
      return;
    }
    const folder = adapter && (await resolveAdapter(adapter, { offline, signal, progress }));
    const weights = folder === undefined ? undefined : await readAdapter(folder);
    const path = await locateBase(base, offline, { signal, progress });
    const madeFrom = to === 'safetensors' ? await hashesOf(path, folder, { signal, progress }) : undefined;
    const source = { base: path, adapter: weights, adapterFile: adapter, madeFrom, signal, progress };
    const isNew = (await WRITERS[to](given, source)) !== false;
    const made = adapter === undefined ? base : `${base} with ${adapter}`;
    say(`${out}: ${made}, ${to}${isNew ? '' : ' (finished before)'}`);
    json({ out, base: path, adapter, to, ...(madeFrom !== undefined && { reused: !isNew }) });
  },
});

/** What a caller of transformers.js has to say. */
function describeForWeb(role: TransformersJsFolder['role'], recipe: EncoderRecipe): string {
  const { pooling, normalize, prefixes, dense } = recipe;
  const roles = role === 'both' ? (['query', 'document'] as const) : [role];
  const isPipeline = dense === undefined && (pooling === 'mean' || pooling === 'cls');
  const how = isPipeline ? `pooling: '${pooling}', normalize: ${normalize}` : 'the output sentence_embedding';
  const put = roles
    .filter((one) => prefixes[one] !== '')
    .map((one) => `${JSON.stringify(prefixes[one])} before a ${one}`);
  return [`${role === 'both' ? 'queries and documents' : `${role} side`}`, how, ...put].join('; ');
}

/** The function that writes each format. A folder that was finished before is not written again: it returns false. */
const WRITERS: Record<Exclude<Target, 'transformers.js'>, (given: Given, source: ExportOptions) => Promise<unknown>> = {
  gguf: ({ out, type }, source) => exportGguf(out, { ...source, type }),
  safetensors: ({ out, dtype }, source) => exportSafetensors(out, { ...source, dtype }),
  'gguf-adapter': ({ out }, source) => exportGgufAdapter(out, { ...source, adapter: adapterOf(source) }),
  peft: ({ out }, source) => exportPeft(out, source),
  onnx: ({ out }, source) => exportOnnxFolder(out, source),
};

async function exportOnnxFolder(out: string, options: ExportOptions): Promise<void> {
  await withSource(options, async (source) => {
    await exportOnnx(out, source.checkpoint, await sourceSettings(source), options.signal);
  });
}

async function exportPeft(out: string, source: ExportOptions): Promise<void> {
  const adapter = adapterOf(source);
  await checkAdapterFits({ ...source, adapter });
  await writeAdapter(out, adapter);
}

function adapterOf({ adapter }: ExportOptions): LoraAdapter {
  if (adapter !== undefined) return adapter;
  throw new UsageError('this format writes an adapter, and none is given', { fix: 'Add --adapter DIR.' });
}

/** Refuses options that the chosen format does not use. @throws UsageError */
function checkTypes({ to, type, dtype, adapter }: Given): void {
  if (to === 'transformers.js' && adapter !== undefined) {
    throw new UsageError('--adapter does not work with --to transformers.js', {
      fix: 'Pass a folder of `llm-qe train retriever`, in which the adapter is already merged.',
    });
  }
  if (type !== undefined && to !== 'gguf') {
    throw new UsageError('--type works only with --to gguf', {
      fix: 'Omit --type. For safetensors, use --dtype. Adapters are always F32.',
    });
  }
  if (dtype !== undefined && to !== 'safetensors') {
    throw new UsageError('--dtype works only with --to safetensors', {
      fix: 'Omit --dtype. For gguf, use --type. Adapters are always F32.',
    });
  }
}
