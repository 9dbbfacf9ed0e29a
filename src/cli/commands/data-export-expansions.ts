import { z } from 'zod';
import { BeirDataset } from '../../data/index.ts';
import { combinationOptions } from '../../retrieve/index.ts';
import { EXPORT_FORMATS, exportExpansions } from '../../strategies/index.ts';
import { counted } from '../../system/index.ts';
import { defineCommand } from '../command.ts';
import { datasetFiles } from '../command-files.ts';

const options = z.object({
  dataset: z.string().describe("folder of the data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  expansions: z.string().describe('expansions.jsonl from `llm-qe expand`').meta({ valueName: 'FILE' }),
  format: z
    .enum(EXPORT_FORMATS)
    .default('querygym')
    .describe(
      'querygym: id, tab, text, as CSV; tsv: the same on one line each, for Pyserini; topics: classic TREC topics; beir: queries with expansions; jsonl: {"id", "text"}',
    ),
  queryRepeats: combinationOptions.queryRepeats,
  out: z.string().describe('file to write').meta({ valueName: 'FILE' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'data export-expansions',
  summary: 'write expansions as QueryGym, Pyserini and BEIR read them',
  description:
    "Writes one text per query: the query, repeated as the expansions are combined, then the expansions. Other programs search with it as\nwith any query. BEIR's layout keeps query and expansions apart. `llm-qe expand --from FILE` reads all of these.",
  options,
  examples: [
    [
      'llm-qe data export-expansions --dataset data/scifact --expansions mugi/expansions.jsonl --format tsv --out topics.tsv',
      'topics for Pyserini',
    ],
  ],
  files({ dataset, expansions, out }) {
    const { inputs, inputFolders } = datasetFiles(dataset);
    return { inputs: { ...inputs, '--expansions': expansions }, inputFolders, outputs: { '--out': out } };
  },
  async run({ dataset: folder, expansions, format, queryRepeats, out }, { signal, json, say }) {
    const dataset = await BeirDataset.open(folder);
    const result = await exportExpansions({ dataset, expansions, format, queryRepeats, out, signal });
    json({ ...result, format });
    const repeated = result.queryRepeats === undefined ? '' : `, query repeats ${result.queryRepeats}`;
    say(`${counted(result.queries, 'query')} in ${format}${repeated}: ${result.file}`);
  },
});
