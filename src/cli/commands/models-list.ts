import { z } from 'zod';
import { ModelStore } from '../../models/index.ts';
import { defineCommand } from '../command.ts';
import { formatTable } from '../table.ts';

const options = z.object({
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'models list',
  summary: 'list the known models and those in the store',
  options,
  examples: [['llm-qe models list', 'names, kinds, sizes and licences']],
  async run(_given, { say, json }) {
    const entries = await new ModelStore().list();
    const rows = entries.map((entry) => [
      entry.name,
      entry.kind ?? '',
      `${(entry.bytes / 1e6).toFixed(0)} MB`,
      entry.path === undefined ? 'no' : 'yes',
    ]);
    say(formatTable(['model', 'kind', 'size', 'in the store'], rows));
    for (const { name, description, licence, source } of entries) {
      say('');
      say(`${name}${description === undefined ? '' : `: ${description}`}`);
      if (licence !== undefined) say(`  licence: ${licence}`);
      if (source !== undefined) say(`  from ${source}`);
    }
    say('');
    say(
      '`llm-qe models pull NAME` downloads a model. Wherever a name is accepted, a folder, a .gguf file or hf:owner/name works too.',
    );
    json({ models: entries });
  },
});
