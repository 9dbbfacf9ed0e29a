import { jsonTexts, questionsIn } from '../reading.ts';
import { defineStrategy, type StepInput, type StrategyStep, system, user } from '../strategy.ts';

const QUESTIONS = 3;
const SHAPE = '"answer1": "...", "answer2": "...", "answer3": "..."';

const once = (name: string, promptFor: (input: StepInput, at: number) => ReturnType<StrategyStep['promptFor']>) => ({
  name,
  texts: ({ samples }: { samples: number }) => samples,
  promptFor,
});

/** Sub-questions, an answer to each, and a judgement that keeps the answers that serve the query. */
export const QA_EXPAND = defineStrategy({
  name: 'qa-expand',
  summary: '3 questions, their answers, and what the LLM keeps of them',
  paper: 'QA-Expand (Seo and Lee 2025, arXiv 2502.08557)',
  defaults: { samples: 1, temperature: 0.8, maxTokens: 256 },
  promptTokens: 1024,
  steps: [
    once('questions', ({ query }) => ({
      messages: [
        system(
          `You are a helpful assistant. Based on the following query, generate ${QUESTIONS} possible related questions that someone might ask.`,
        ),
        user(`Break the query into sub-questions: "${query}"`),
      ],
    })),
    once('answers', ({ texts }, at) => {
      const questions = questionsIn(texts[0]![at]!, QUESTIONS);
      const numbered = Object.fromEntries(
        Array.from({ length: QUESTIONS }, (_none, row) => [`question${row + 1}`, questions[row] ?? '']),
      );
      return {
        messages: [
          system(
            `You are a knowledgeable assistant. The user provides ${QUESTIONS} questions in JSON format. For each question, produce a document style answer. Each answer must: Be informative regarding the question. Return all answers in JSON format with the keys answer1, answer2, and answer3. For example: {${SHAPE}}`,
          ),
          user(`Questions to answer: "${JSON.stringify(numbered)}"`),
        ],
      };
    }),
    once('refined', ({ query, texts }, at) => ({
      messages: [
        system(
          'You are an evaluation assistant. You have an initial query and answers provided in JSON format. Your role is to check how relevant and correct each answer is. Return only those answers that are relevant and correct to the initial query. Omit or leave blank any that are incorrect, irrelevant, or too vague. If needed, please rewrite the answer in a better way. Return your result in JSON with the same structure: {"answer1": "Relevant/correct...", "answer2": "Relevant/correct...", "answer3": "Relevant/correct..."} If an answer is irrelevant, do not include it at all or leave it empty. Focus on ensuring the final JSON only contains the best content for retrieval.',
        ),
        user(`Initial query: "${query}"\nAnswers: "${texts[1]![at]!}"`),
      ],
    })),
  ],
  expansions: ({ samples }) => samples,
  make: ([questions, answers, refined]) =>
    refined!.map((written, at) => ({
      text: (jsonTexts(written.text) ?? [written.text]).join(' ').trim(),
      of: [questions![at]!, answers![at]!, written],
    })),
  combination: () => ({ alpha: 0.5, queryRepeats: 3 }),
});
