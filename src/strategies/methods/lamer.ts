import { unquoted } from '../reading.ts';
import { defineStrategy, user, withPassages } from '../strategy.ts';

/** What the passages are called, in the question and in the request, by data set. */
const CALLED: Record<string, string> = {
  'web-search': 'answering passage',
  scifact: 'scientific paper passage',
  arguana: 'counter-argument passage',
  'trec-covid': 'scientific paper passage',
  fiqa: 'answering financial article passage',
  'dbpedia-entity': 'answering passage',
  'trec-news': 'relevant passage',
};

/** Answers that the LLM writes while it reads the first hits, most of which it is told are wrong. */
export const LAMER = defineStrategy({
  name: 'lamer',
  summary: '5 passages, written from the first 10 hits of BM25',
  paper: 'LameR (Shen et al. 2023, arXiv 2304.14233)',
  defaults: { samples: 5, maxTokens: 128 },
  promptTokens: 2560,
  variants: Object.keys(CALLED),
  steps: [
    {
      name: 'texts',
      search: { documents: 10, textFor: (query) => query, skipsShown: false },
      texts: ({ samples }) => samples,
      promptFor: ({ query, passages, variant }) =>
        withPassages(passages, (enumerated) => [
          user(
            `Give a question "${query}" and its possible ${CALLED[variant]!}s (most of these passages are wrong) enumerated as:\n${enumerated}\nplease write a correct ${CALLED[variant]!}.`,
          ),
        ]),
    },
  ],
  make: ([texts]) => texts!.map((written) => ({ text: unquoted(written.text), of: [written] })),
  combination: () => ({ alpha: 0.5, queryRepeats: 'per-text' }),
});
