import { repeatQuery } from '../../search/index.ts';
import { defineStrategy, type StrategyStep, user, withPassages } from '../strategy.ts';

const ROUNDS = 3;
const DOCUMENTS = 5;
/** The query is repeated as often as the texts have three times its words. */
const REPEATS = 'words:3';

/** A round reads the hits of the query with all texts so far, except documents that a round before has read. */
function round(number: number): StrategyStep {
  return {
    name: `round-${number}`,
    search: {
      documents: DOCUMENTS,
      textFor: (query, texts) => repeatQuery(query, texts.flat(), REPEATS),
      skipsShown: true,
    },
    texts: ({ samples }) => samples,
    promptFor: ({ query, passages }) =>
      withPassages(passages, (enumerated) => [
        user(
          `Given a question "${query}" and its possible answering passages (most of these passages are wrong) enumerated as:\n${enumerated}\n\nplease write a correct answering passage. Use your own knowledge, not just the example passages!`,
        ),
      ]),
  };
}

/** Rounds of search and writing, as ThinkQE does with a reasoning model. */
export const THINKQE = defineStrategy({
  name: 'thinkqe',
  summary: '3 rounds of 2 passages, each from the best 5 new hits of BM25',
  paper: 'ThinkQE (Lei et al. 2025, arXiv 2506.09260)',
  // 32,768 tokens were published, for the thoughts of a reasoning model.
  defaults: { samples: 2, temperature: 0.7, maxTokens: 1024 },
  promptTokens: 1280,
  steps: Array.from({ length: ROUNDS }, (_none, at) => round(at + 1)),
  combination: () => ({ alpha: 0.5, queryRepeats: REPEATS }),
});
