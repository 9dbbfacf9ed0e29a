import { z } from 'zod';
import { ECHO_FILES, mergeEcho } from '../../data/index.ts';
import { counted } from '../../system/index.ts';
import { defineCommand } from '../command.ts';

const options = z.object({
  folder: z.string().describe('folder with the eight files of the Echo data, each NAME.jsonl or NAME.jsonl.gz'),
  out: z.string().default('merged.jsonl').describe('file to write').meta({ valueName: 'FILE' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});

/** `llm-qe data merge`: stage 1 of the method. */
export const command = defineCommand({
  name: 'data merge',
  summary: 'merge the eight files of the Echo data into one file of training triples',
  description: `Reads ${ECHO_FILES.map((spellings) => spellings.join(' or ')).join(', ')}. The id of each row is FILE-LINE.`,
  arguments: [{ key: 'folder', required: true }],
  options,
  examples: [['llm-qe data merge echo-data --out merged.jsonl', 'merge the files of the folder echo-data']],
  async run({ folder, out }, context) {
    const summary = await mergeEcho(folder, out, context);
    for (const [name, rows] of Object.entries(summary.files)) context.say(`${name}: ${counted(rows, 'row')}`);
    context.say(`${counted(summary.rows, 'row')} in ${out}`);
    if (summary.blank > 0)
      context.warn(
        `${counted(summary.blank, 'row has', 'rows have')} a blank query, positive or negative, and ${summary.blank === 1 ? 'is' : 'are'} kept`,
      );
    context.json({ out, ...summary });
  },
});
