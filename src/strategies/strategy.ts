import type { ChatMessage, CuttablePart, Sampling } from '../generate/index.ts';
import type { Combination } from '../retrieve/index.ts';

/** How the texts of a strategy are sampled. */
export interface StrategySettings extends Sampling {
  /** Texts for one prompt. */
  samples: number;
}

/** A question with a passage that answers it, for prompts with examples. */
export interface Example {
  query: string;
  passage: string;
}

/** What the prompt of a step can read. */
export interface StepInput {
  query: string;
  /** Documents that the search of this step found, the best first. */
  passages: readonly string[];
  /** Texts of the earlier steps // [steps, texts] */
  texts: readonly (readonly string[])[];
  examples: readonly Example[];
  /** The wording for a task or a data set. */
  variant: string;
}

/** A prompt, and the part of it that may be cut at its end. */
export interface StepPrompt {
  messages: ChatMessage[];
  cuttable?: CuttablePart | undefined;
}

/** A BM25 search of the data set's corpus before the prompts of a step. */
export interface StepSearch {
  /** Documents for the prompt. */
  documents: number;
  /** Returns the text to search with. */
  textFor(query: string, texts: StepInput['texts']): string;
  /** Whether documents that an earlier step showed are passed over. */
  skipsShown: boolean;
}

/** One round of texts for every query. */
export interface StrategyStep {
  /** A word for file names and progress. */
  name: string;
  search?: StepSearch | undefined;
  /** Number of texts. */
  texts(settings: StrategySettings): number;
  /** @param at which of the step's texts, from 0 */
  promptFor(input: StepInput, at: number, settings: StrategySettings): StepPrompt;
}

/** A text that an LLM wrote, with what it cost. */
export interface Written {
  text: string;
  raw?: string | undefined;
  emptyBecause?: 'blankQuery' | 'promptTooLong' | 'contentFilter' | 'unfinishedThought' | undefined;
  finish: 'stop' | 'length';
  promptTokens: number;
  completionTokens: number;
  logProbability?: number | undefined;
  milliseconds: number;
  key: string;
}

/** An expansion, and the texts that it was made of: each text belongs to one expansion, which bears its cost. */
export interface Made {
  text: string;
  of: readonly Written[];
}

/** A published way to expand queries. */
export interface Strategy {
  name: string;
  /** One line for the help. */
  summary: string;
  /** Authors, year and arXiv number. */
  paper: string;
  /** The published settings. */
  defaults: StrategySettings;
  /** Room for the prompt in the context of an embedded LLM, in tokens. */
  promptTokens: number;
  /** Wordings for tasks and data sets, the default first. */
  variants: readonly string[];
  /** Examples in the prompt. */
  examples: number;
  steps: readonly StrategyStep[];
  /** Number of expansions that {@link make} returns. */
  expansions(settings: StrategySettings): number;
  /** Makes expansions of the texts of all steps // [steps, texts] */
  make(texts: readonly (readonly Written[])[]): Made[];
  combination(settings: StrategySettings): Combination;
}

type Optional = 'promptTokens' | 'variants' | 'examples' | 'expansions' | 'make' | 'defaults';

/** The published sampling of LLM-QE, which strategies without a setting of their own use. */
const USUAL: StrategySettings = { samples: 1, temperature: 1, topP: 1, topK: 0, maxTokens: 512 };

/** Fills in what most strategies have in common: no documents, no examples, every text is an expansion as it is. */
export function defineStrategy(
  given: Omit<Strategy, Optional> &
    Partial<Omit<Pick<Strategy, Optional>, 'defaults'>> & {
      defaults: Partial<StrategySettings>;
    },
): Strategy {
  const { steps } = given;
  return {
    ...{ promptTokens: 512, variants: [], examples: 0 },
    expansions: (settings) => steps.reduce((sum, step) => sum + step.texts(settings), 0),
    make: (texts) => texts.flat().map((written) => ({ text: written.text, of: [written] })),
    ...given,
    defaults: { ...USUAL, ...given.defaults },
  };
}

/** Returns the one step of a strategy that asks for several texts with one prompt. */
export function askOnce(messagesFor: (input: StepInput) => ChatMessage[]): StrategyStep[] {
  return [{ name: 'texts', texts: ({ samples }) => samples, promptFor: (input) => ({ messages: messagesFor(input) }) }];
}

export function user(content: string): ChatMessage {
  return { role: 'user', content };
}

export function system(content: string): ChatMessage {
  return { role: 'system', content };
}

/** Puts numbered passages into a prompt: `1. first`, a line each. If they do not fit, the last ones are cut. */
export function withPassages(
  passages: readonly string[],
  messagesWith: (enumerated: string) => ChatMessage[],
): StepPrompt {
  const text = passages.map((passage, at) => `${at + 1}. ${passage}`).join('\n');
  return { messages: messagesWith(text), cuttable: { text, messagesWith } };
}
