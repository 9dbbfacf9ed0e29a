import { buildWordnetDataset, wordnetOptions } from '../../data/index.ts';
import { defineCommand } from '../command.ts';

export const command = defineCommand({
  name: 'data wordnet',
  summary: 'make the demonstration data set out of WordNet',
  description:
    'Documents are the glosses of WordNet nouns; queries are questions about a term that its glosses do not contain ' +
    '("What is a vineyard?"). Every sense of the term is relevant. No term, gloss or group of sibling concepts is in two ' +
    'splits. The same settings give the same bytes. Writes corpus.jsonl, queries.jsonl and qrels/ as BEIR has them, ' +
    'triples.jsonl for training, and manifest.json.',
  options: wordnetOptions,
  examples: [
    ['llm-qe data wordnet --out wordnet', 'the data set in its usual size, in a few seconds'],
    ['llm-qe data wordnet --out small --corpus 2000 --test 40', 'a small one to try things on'],
  ],
  async run(options, { signal, progress, say, json }) {
    const manifest = await buildWordnetDataset(options, { signal, progress });
    const { settings, synsets, queries, judgements, triples } = manifest;
    say(`WordNet ${settings.wordnet}, seed ${settings.seed}, in ${options.out}`);
    say(
      `  documents  ${settings.corpus} of ${synsets.documents} distinct glosses (${synsets.merged} identical ones merged, ${
        synsets.dropped.nearDuplicate
      } near-duplicates dropped)`,
    );
    for (const split of ['train', 'dev', 'test'] as const) {
      say(`  ${split.padEnd(9)}  ${queries[split]} queries, ${judgements[split]} relevant documents`);
    }
    say(`  triples    ${triples} with a sibling's gloss as hard negative`);
    say(`Next: llm-qe evaluate --dataset ${quote(options.out)}`);
    json({ folder: options.out, ...manifest });
  },
});

/** A path as a shell takes it. */
function quote(path: string): string {
  return /^[\w./~-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
