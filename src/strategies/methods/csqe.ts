import { quotedSentences, unquoted } from '../reading.ts';
import { defineStrategy, type StepInput, type StepPrompt, system, user, withPassages } from '../strategy.ts';

const ROLE =
  'You are an efficient search assistant. I will provide you with a query and its initially retrieved documents. You will begin by examining the initially retrieved documents and identifying the ones that are relevant, even partially, to the query. Once the relevant documents are identified, you will extract the key sentences from each document that contribute to their relevance.';
const TASK =
  'You will begin by examining the initially retrieved documents and identifying the ones that are relevant, even partially, to the query. Once the relevant documents are identified, you will extract the key sentences from each document that contribute to their relevance.';

/** The example of the prompt. The paper's is made of MS MARCO passages; this one was written for llm-qe, in the same form. */
const EXAMPLE = {
  query: 'why do bridges have expansion joints',
  documents: [
    'Steel and concrete grow longer when they are warm and shorter when they are cold. A bridge of 100 metres can change its length by several centimetres between winter and summer. Expansion joints leave room for this movement.',
    'Bridges were among the first large works of engineers. The oldest that still stand were built of stone by the Romans.',
    'A joint between two parts of a road deck lets them move without cracking. Without it, heat would press the parts against each other until they buckle. Joints are cleaned every year.',
  ],
  answer:
    'Based on the query "why do bridges have expansion joints", I have examined the initially retrieved documents. Here are the relevant documents and the key sentences extracted from each:\nDocument 1:\n"Steel and concrete grow longer when they are warm and shorter when they are cold."\n"Expansion joints leave room for this movement."\n\nDocument 3:\n"A joint between two parts of a road deck lets them move without cracking."\n"Without it, heat would press the parts against each other until they buckle."',
};

/** What stands in quotes in the example. It says nothing of the query that is expanded. */
const QUOTED_IN_EXAMPLE = [...EXAMPLE.answer.matchAll(/"([^"]*)"/g)].map((match) => match[1]!);

function request(query: string, enumerated: string): string {
  return `Query: "${query}"\nRetrieved documents:\n${enumerated}\n\n${TASK}`;
}

/** What the LLM knows by itself (KEQE). */
function fromKnowledge({ query }: StepInput): StepPrompt {
  return {
    messages: [
      system('You are a helpful assistant.'),
      user(`Please write a passage to answer the question\nQuestion: ${query}\nPassage:`),
    ],
  };
}

/** What the corpus says: key sentences of the first hits. */
function fromCorpus({ query, passages }: StepInput): StepPrompt {
  const shown = EXAMPLE.documents.map((text, at) => `${at + 1}. ${text}`).join('\n');
  return withPassages(passages, (enumerated) => [
    system(ROLE),
    user(request(EXAMPLE.query, shown)),
    { role: 'assistant', content: EXAMPLE.answer },
    user(request(query, enumerated)),
  ]);
}

/** Passages from the LLM's knowledge, and sentences that it picks from the first hits. */
export const CSQE = defineStrategy({
  name: 'csqe',
  summary: '2 passages, and sentences picked from the first 10 hits of BM25',
  paper: 'CSQE (Lei et al. 2024, arXiv 2402.18031)',
  defaults: { samples: 2, maxTokens: 512 },
  promptTokens: 2560,
  steps: [
    {
      name: 'texts',
      search: { documents: 10, textFor: (query) => query, skipsShown: false },
      texts: ({ samples }) => 2 * samples,
      promptFor: (input, at, { samples }) => (at < samples ? fromKnowledge(input) : fromCorpus(input)),
    },
  ],
  make: ([texts]) =>
    texts!.map((written, at) => {
      const text = at < texts!.length / 2 ? unquoted(written.text) : quotedSentences(written.text, QUOTED_IN_EXAMPLE);
      return { text, of: [written] };
    }),
  combination: ({ samples }) => ({ alpha: 0.5, queryRepeats: samples }),
});
