import { keywordsIn, unquoted } from '../reading.ts';
import { defineStrategy, type Strategy, system, user, type Written } from '../strategy.ts';

const ROLE = system('You output only comma-separated keywords. No sentences.');

/** The ten published instructions. */
const INSTRUCTIONS = [
  'Improve the search effectiveness by suggesting expansion terms for the query',
  'Recommend expansion terms for the query to improve search results',
  'Improve the search effectiveness by suggesting useful expansion terms for the query',
  'Maximize search utility by suggesting relevant expansion phrases for the query',
  'Enhance search efficiency by proposing valuable terms to expand the query',
  'Elevate search performance by recommending relevant expansion phrases for the query',
  'Boost the search accuracy by providing helpful expansion terms to enrich the query',
  'Increase the search efficacy by offering beneficial expansion keywords for the query',
  'Optimize search results by suggesting meaningful expansion terms to enhance the query',
  'Enhance search outcomes by recommending beneficial expansion terms to supplement the query',
];

const keywords = (texts: readonly Written[]) =>
  texts.map((written) => ({ text: keywordsIn(unquoted(written.text)), of: [written] }));

/** Keywords, sampled several times (QueryGym's reading of GenQR, whose own model was fine-tuned). */
export const GENQR: Strategy = defineStrategy({
  name: 'genqr',
  summary: 'keywords, sampled 5 times',
  paper: 'GenQR (Wang et al. 2023, arXiv 2308.00415), as QueryGym prompts it (arXiv 2511.15996)',
  defaults: { samples: 5, temperature: 0.8, maxTokens: 256 },
  steps: [
    {
      name: 'texts',
      texts: ({ samples }) => samples,
      promptFor: ({ query }) => ({
        messages: [
          ROLE,
          user(`Suggest keywords to improve retrieval for this query:\n"${query}"\nReturn only keywords.`),
        ],
      }),
    },
  ],
  make: ([texts]) => keywords(texts!),
  combination: () => ({ alpha: 0.5, queryRepeats: 1 }),
});

/** Keywords by ten wordings of one instruction. */
export const GENQR_ENSEMBLE: Strategy = defineStrategy({
  name: 'genqr-ensemble',
  summary: 'keywords by 10 wordings of the instruction',
  paper: 'GenQREnsemble (Dhole and Agichtein 2024, arXiv 2404.03746)',
  defaults: { samples: 1, topP: 0.92, topK: 200, maxTokens: 256 },
  steps: [
    {
      name: 'texts',
      texts: ({ samples }) => INSTRUCTIONS.length * samples,
      promptFor: ({ query }, at, { samples }) => ({
        messages: [ROLE, user(`${INSTRUCTIONS[Math.floor(at / samples)]!}:\n"${query}"`)],
      }),
    },
  ],
  make: ([texts]) => keywords(texts!),
  combination: () => ({ alpha: 0.5, queryRepeats: 5 }),
});
