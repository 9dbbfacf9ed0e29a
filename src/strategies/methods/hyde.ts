import { askOnce, defineStrategy, user } from '../strategy.ts';

/** The published prompts (texttron/hyde), by task or data set. */
const PROMPTS: Record<string, (query: string) => string> = {
  'web-search': (query) => `Please write a passage to answer the question.\nQuestion: ${query}\nPassage:`,
  scifact: (query) => `Please write a scientific paper passage to support/refute the claim.\nClaim: ${query}\nPassage:`,
  arguana: (query) => `Please write a counter argument for the passage.\nPassage: ${query}\nCounter Argument:`,
  'trec-covid': (query) =>
    `Please write a scientific paper passage to answer the question.\nQuestion: ${query}\nPassage:`,
  fiqa: (query) => `Please write a financial article passage to answer the question.\nQuestion: ${query}\nPassage:`,
  'dbpedia-entity': (query) => `Please write a passage to answer the question.\nQuestion: ${query}\nPassage:`,
  'trec-news': (query) => `Please write a news passage about the topic.\nTopic: ${query}\nPassage:`,
  'mr-tydi-swahili': (query) => inLanguage('Swahili', query),
  'mr-tydi-korean': (query) => inLanguage('Korean', query),
  'mr-tydi-japanese': (query) => inLanguage('Japanese', query),
  'mr-tydi-bengali': (query) => inLanguage('Bengali', query),
};

function inLanguage(language: string, query: string): string {
  return `Please write a passage in ${language} to answer the question in detail.\nQuestion: ${query}\nPassage:`;
}

/** Hypothetical documents: the mean vector of the query and 8 passages. */
export const HYDE = defineStrategy({
  name: 'hyde',
  summary: '8 hypothetical documents; mean vector of query and documents',
  paper: 'HyDE (Gao et al. 2022, arXiv 2212.10496)',
  defaults: { samples: 8, temperature: 0.7, maxTokens: 512 },
  variants: Object.keys(PROMPTS),
  steps: askOnce(({ query, variant }) => [user(PROMPTS[variant]!(query))]),
  // The paper searches vectors only; Query2doc's repeats serve a lexical search.
  combination: () => ({ alpha: 'mean', queryRepeats: 5 }),
});
