import { askOnce, defineStrategy, user } from '../strategy.ts';

/** A passage by few-shot prompting. */
export const QUERY2DOC = defineStrategy({
  name: 'query2doc',
  summary: 'a passage after 4 examples, from the train split if there is one',
  paper: 'Query2doc (Wang et al. 2023, arXiv 2303.07678)',
  defaults: { samples: 1, maxTokens: 128 },
  promptTokens: 1280,
  examples: 4,
  steps: askOnce(({ query, examples }) => {
    const shown = examples.map((example) => `Query: ${example.query}\nPassage: ${example.passage}\n\n`).join('');
    return [user(`Write a passage that answers the given query:\n\n${shown}Query: ${query}\nPassage:`)];
  }),
  combination: () => ({ alpha: 'joined', queryRepeats: 5 }),
});
