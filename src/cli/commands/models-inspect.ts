import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { findKnownModel, ModelStore, type ModelSummary, summarizeModel } from '../../models/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { formatTable } from '../table.ts';

const options = z.object({
  model: z
    .string()
    .describe(
      'a folder (also of a LoRA adapter), a .gguf, .safetensors or .bin file, or a model name (downloaded if needed)',
    ),
  tensors: z.boolean().default(false).describe('list every tensor with its type and shape'),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'models inspect',
  summary: 'show the contents of a model file or folder',
  description: 'Reads only headers and settings, not the weights.',
  arguments: [{ key: 'model', required: true }],
  options,
  examples: [
    ['llm-qe models inspect smollm2-135m-instruct', 'format, size, types, context length'],
    ['llm-qe models inspect ./my-encoder --tensors', 'the same, and every tensor'],
  ],
  async run({ model, tensors: all, offline }, context) {
    const summary = await summarizeModel(await locate(model, offline, context));
    print(summary, context);
    if (all) context.say(tensorTable(summary));
    const { tensors, ...rest } = summary;
    context.json(all ? { ...rest, tensors } : { ...rest, tensorCount: tensors.length });
  },
});

/** Returns the path to inspect. A path is not resolved as a model: a file without its settings can be inspected too. */
async function locate(
  model: string,
  offline: boolean | undefined,
  { signal, progress }: CommandContext,
): Promise<string> {
  const isPath = findKnownModel(model) === undefined && (await stat(model).catch(() => undefined)) !== undefined;
  return isPath ? model : (await new ModelStore({ offline, progress }).resolve(model, { signal })).path;
}

function print(summary: ModelSummary, { say }: CommandContext): void {
  const { adapter } = summary;
  const facts: [string, string | number | undefined][] = [
    ['path', summary.path],
    ['format', adapter === undefined ? summary.format : "LoRA adapter in PEFT's layout"],
    ['base model', adapter?.base],
    ['rank', adapter?.rank],
    ['alpha', adapter?.alpha],
    ['adapted weights', adapter && `${adapter.modules} (${adapter.targets.join(', ')})`],
    ['architecture', summary.architecture],
    ['parameters', summary.parameters.toLocaleString('en-US')],
    ['layers', summary.layers],
    ['dimensions', summary.dimensions],
    ['context length', summary.contextLength],
    ['maximum length', summary.maxLength],
    ['chat template', adapter === undefined ? (summary.chatTemplate ? 'yes' : 'no') : undefined],
    ['pooling', summary.pooling],
    ['tensors', summary.tensors.length],
  ];
  for (const [name, value] of facts) if (value !== undefined) say(`${name.padEnd(18)}${value}`);
  const rows = summary.types.map((type) => [type.dtype, String(type.tensors), type.parameters.toLocaleString('en-US')]);
  say('');
  say(formatTable(['type', 'tensors', 'parameters'], rows));
}

function tensorTable({ tensors }: ModelSummary): string {
  const rows = tensors.map(({ name, dtype, shape }) => [name, dtype, shape.join(' x ')]);
  return `\n${formatTable(['tensor', 'type', 'shape'], rows)}`;
}
