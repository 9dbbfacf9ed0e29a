import { join } from 'node:path';
import { z } from 'zod';
import { splitRows } from '../../data/index.ts';
import { counted, DEFAULT_SEED } from '../../system/index.ts';
import { defineCommand } from '../command.ts';

const options = z.object({
  file: z.string().describe('JSONL file to split (may be gzipped)'),
  out: z.string().default('.').describe('folder for the two files').meta({ valueName: 'DIR' }),
  size: z.coerce
    .number()
    .positive()
    .default(100_000)
    .describe('number of rows (or fraction, if below 1) for dpo.jsonl; the others go to retriever.jsonl')
    .meta({ valueName: 'N' }),
  dev: z.coerce
    .number()
    .positive()
    .optional()
    .describe('split into train.jsonl and dev.jsonl instead; number of rows (or fraction, if below 1) for dev.jsonl')
    .meta({ valueName: 'N|FRACTION' }),
  seed: z.coerce.number().int().nonnegative().default(DEFAULT_SEED).describe('seed of the random split'),
  json: z.boolean().default(false).describe('print one JSON document'),
});

/** `llm-qe data split`: stage 2 of the method, or a split into train and dev. */
export const command = defineCommand({
  name: 'data split',
  summary: 'split a file of training rows at random: into DPO and retriever data, or into train and dev',
  description:
    'The sizes are exact. The choice depends only on the seed. Both files keep the order of the rows. A row without an id gets the id FILE-LINE.',
  arguments: [{ key: 'file', required: true }],
  options,
  examples: [
    [
      'llm-qe data split merged.jsonl --out data',
      '100,000 rows for DPO in data/dpo.jsonl, the rest in data/retriever.jsonl',
    ],
    ['llm-qe data split data/retriever.jsonl --out data --dev 0.1', 'a tenth of the rows go to data/dev.jsonl'],
  ],
  async run({ file, out, size, dev, seed }, context) {
    const [chosenName, restName] = dev === undefined ? ['dpo', 'retriever'] : ['dev', 'train'];
    const chosen = join(out, `${chosenName}.jsonl`);
    const rest = join(out, `${restName}.jsonl`);
    const { signal, progress } = context;
    const rows = await splitRows(file, { chosen, rest, size: dev ?? size, seed, signal, progress });
    context.say(`${counted(rows.chosen, 'row')} in ${chosen}`);
    context.say(`${counted(rows.rest, 'row')} in ${rest}`);
    context.json({
      seed,
      files: [
        { file: chosen, rows: rows.chosen },
        { file: rest, rows: rows.rest },
      ],
    });
  },
});
