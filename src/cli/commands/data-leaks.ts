import { z } from 'zod';
import { BeirDataset } from '../../data/index.ts';
import { auditLeaks, describeLeaks, joinExpansions, loadTopics } from '../../evaluate/index.ts';
import { DEFAULT_SEED } from '../../system/index.ts';
import { defineCommand } from '../command.ts';
import { datasetFiles } from '../command-files.ts';

const options = z.object({
  dataset: z.string().describe("folder of the data set, in BEIR's layout").meta({ valueName: 'DIR' }),
  expansions: z.string().describe('expansions.jsonl from `llm-qe expand`').meta({ valueName: 'FILE' }),
  split: z.string().default('test').describe('split whose queries were expanded').meta({ valueName: 'NAME' }),
  limit: z.coerce.number().int().positive().optional().describe('audit a random sample of this many queries'),
  ngram: z.coerce.number().int().min(1).max(13).default(3).describe('words in the n-grams whose overlap is measured'),
  seed: z.coerce.number().int().nonnegative().default(DEFAULT_SEED).describe('seed of the samples'),
  json: z.boolean().default(false).describe('print one JSON document'),
});

export const command = defineCommand({
  name: 'data leaks',
  summary: 'do expansions say what the corpus says?',
  description:
    'An LLM that has read the collection, or whose prompt shows documents, writes what the relevant documents say; such a gain will not\nshow on new data. Compares the n-grams of each expansion with those of its relevant documents and of as many others, and searches\nthe corpus for runs of 13 words, and sentences, of the expansions. Reads the corpus once.',
  options,
  examples: [['llm-qe data leaks --dataset data/scifact --expansions mugi/expansions.jsonl', 'the audit of a file']],
  files({ dataset, expansions }) {
    const { inputs, inputFolders } = datasetFiles(dataset);
    return { inputs: { ...inputs, '--expansions': expansions }, inputFolders };
  },
  async run({ dataset: folder, expansions, split, limit, ngram, seed }, { signal, progress, json, say }) {
    const dataset = await BeirDataset.open(folder);
    const topics = await joinExpansions(await loadTopics(dataset, split, { limit, seed }), expansions);
    const task = progress.task('reading the corpus', await dataset.count(signal), 'documents');
    const audit = await auditLeaks(dataset, topics, { ngram, seed, signal, onDocument: () => task.advance() });
    task.done();
    json({ dataset: dataset.name, split, ...audit });
    for (const sentence of describeLeaks(audit)) say(sentence);
    for (const { query, document, isRelevant } of audit.found.examples) {
      say(`  query ${query}: document ${document}${isRelevant ? ', which is relevant' : ''}`);
    }
  },
});
