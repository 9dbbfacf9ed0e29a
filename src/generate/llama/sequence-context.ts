import type { TokenScores } from './sampler.ts';

/** A piece of one sequence that is to be evaluated. */
export interface BatchItem {
  sequence: number;
  /** Position of the first token in its sequence. */
  start: number;
  tokens: number[];
  /** Whether the scores of the token that follows the last one are wanted. */
  scores: boolean;
}

/**
 * Several sequences of one LLM that are evaluated together, each with its own cache of keys and values. The scores of a
 * batch can be read until the next one is decoded.
 */
export interface SequenceContext {
  readonly sequences: number;
  /** Tokens that fit into one sequence. */
  readonly size: number;
  /**
   * Evaluates all items in one go; their sequences stand in ascending order. The scores come back item by item, where
   * they were asked for.
   */
  decode(items: readonly BatchItem[]): Promise<(TokenScores | undefined)[]>;
  /** Makes one sequence's cache a copy of another's. */
  copy(target: number, source: number): Promise<void>;
  /** Cuts a sequence's cache down to its first `length` tokens; false where the architecture cannot, and all is gone. */
  trim(sequence: number, length: number): boolean;
}
