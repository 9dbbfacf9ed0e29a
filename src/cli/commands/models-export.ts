import { z } from 'zod';
import {
  checkAdapterFits,
  EXPORT_DTYPES,
  type ExportOptions,
  exportGguf,
  exportGgufAdapter,
  exportSafetensors,
  GGUF_TYPES,
  type LoraAdapter,
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
import { adapterFiles } from '../command-files.ts';
import { baseOption, locateBase } from '../export-base.ts';

const TARGETS = ['peft', 'safetensors', 'gguf', 'gguf-adapter', 'onnx'] as const;
type Target = (typeof TARGETS)[number];

const options = z.object({
  base: baseOption,
  adapter: z.string().optional().describe("a LoRA adapter's folder in PEFT's layout").meta({ valueName: 'DIR' }),
  to: z.enum(TARGETS).describe('what is written'),
  out: z
    .string()
    .describe('a new folder (peft, safetensors, onnx), or a file (gguf, gguf-adapter)')
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
    'gguf is one file for llama.cpp, Ollama and this program, safetensors a folder for Transformers and vLLM; both with the\nadapter folded in where one is named. gguf-adapter and peft are the adapter alone, for llama.cpp and for PEFT, held against\nthe base first. onnx is a folder for ONNX Runtime: model.onnx and weights.bin, input_ids and attention_mask to logits. Models\nof the Llama, Mistral, Qwen2 and Qwen3 families; for onnx encoders of the BERT family too (to last_hidden_state).',
  options,
  examples: [
    [
      'llm-qe models export --base smollm2-135m-instruct --adapter runs/dpo/adapter --to gguf --type Q8_0 --out qe.gguf',
      'the trained model as one file, to be run with --generator qe.gguf',
    ],
    [
      'llm-qe models export --base smollm2-135m-instruct --adapter runs/dpo/adapter --to gguf-adapter --out qe-lora.gguf',
      'the adapter for llama.cpp',
    ],
    ['llm-qe models export --base ./llama --to gguf --out llama.gguf', 'a Transformers folder for llama.cpp, in F16'],
  ],
  files({ base, adapter, to, out }) {
    const inputs = { '--base': base, ...adapterFiles(adapter) };
    const isFile = to === 'gguf' || to === 'gguf-adapter';
    return isFile ? { inputs, outputs: { '--out': out } } : { inputs, outputFolders: { '--out': out } };
  },
  async run(given, { signal, progress, say, json }) {
    checkTypes(given);
    const { base, adapter, to, out, offline } = given;
    const folder = adapter && (await resolveAdapter(adapter, { offline, signal, progress }));
    const weights = folder === undefined ? undefined : await readAdapter(folder);
    const path = await locateBase(base, offline, { signal, progress });
    await WRITERS[to](given, { base: path, adapter: weights, adapterFile: adapter, signal, progress });
    say(`${out}: ${base}${adapter === undefined ? '' : ` with ${adapter}`}, ${to}`);
    json({ out, base: path, adapter, to });
  },
});

/** How each target is written. */
const WRITERS: Record<Target, (given: Given, source: ExportOptions) => Promise<void>> = {
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
  throw new UsageError('an adapter alone is to be written, and none is named', { fix: 'Name it with --adapter.' });
}

/** An option that nothing reads would leave its user in error. */
function checkTypes({ to, type, dtype }: Given): void {
  if (type !== undefined && to !== 'gguf') {
    throw new UsageError('--type is for --to gguf', { fix: 'For safetensors name --dtype; adapters are F32.' });
  }
  if (dtype !== undefined && to !== 'safetensors') {
    throw new UsageError('--dtype is for --to safetensors', { fix: 'For gguf name --type; adapters are F32.' });
  }
}
