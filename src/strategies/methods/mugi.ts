import { unquoted } from '../reading.ts';
import { askOnce, defineStrategy, system, user } from '../strategy.ts';

/** Five passages; in a lexical search, the query is repeated in proportion to their length. */
export const MUGI = defineStrategy({
  name: 'mugi',
  summary: '5 passages; the query repeated in proportion to their length',
  paper: 'MuGI (Zhang et al. 2024, arXiv 2401.06311)',
  defaults: { samples: 5, maxTokens: 1024 },
  steps: askOnce(({ query }) => [
    system(
      'You are PassageGenGPT, an AI capable of generating concise, informative, and clear pseudo passages on specific topics.',
    ),
    user(
      `Generate one passage that is relevant to the following query: '${query}'. The passage should be concise, informative, and clear`,
    ),
    { role: 'assistant', content: "Sure, here's a passage relevant to the query:" },
  ]),
  make: ([texts]) => texts!.map((written) => ({ text: unquoted(written.text), of: [written] })),
  combination: () => ({ alpha: 'joined', queryRepeats: 'characters:6' }),
});
