import { buildWordnetDataset, wordnetOptions } from '../../data/index.ts';
import { counted, shellWord } from '../../system/index.ts';
import { defineCommand } from '../command.ts';

export const command = defineCommand({
  name: 'data wordnet',
  summary: 'build the demo data set from WordNet',
  description:
    'The documents are glosses (definitions) of WordNet nouns. A query asks about a term that its glosses do not contain ' +
    '("What is a vineyard?"). The glosses of all senses of the term are relevant. No term, gloss or group of sibling ' +
    'concepts is in two splits. Equal settings give equal bytes. Writes corpus.jsonl, queries.jsonl and qrels/ in ' +
    "BEIR's layout, triples.jsonl for training, and manifest.json.",
  options: wordnetOptions,
  examples: [
    ['llm-qe data wordnet --out wordnet', 'the data set in its default size, in a few seconds'],
    ['llm-qe data wordnet --out small --corpus 2000 --test 40', 'a small one for quick trials'],
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
      say(`  ${split.padEnd(9)}  ${counted(queries[split], 'query')}, ${judgements[split]} relevant documents`);
    }
    say(`  triples    ${triples}, with the gloss of a sibling concept as hard negative`);
    say(`next: llm-qe evaluate --dataset ${shellWord(options.out)}`);
    json({ folder: options.out, ...manifest });
  },
});
