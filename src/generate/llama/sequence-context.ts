import type { TokenScores } from './sampler.ts';

/** A piece of one sequence to evaluate. */
export interface BatchItem {
  sequence: number;
  /** Position of the first token in its sequence. */
  start: number;
  tokens: number[];
  /** Whether the scores of the token after the last one are needed. */
  scores: boolean;
}

/**
 * Several sequences of one LLM that are evaluated together. Each has its own cache of keys and values. The scores of a batch can be
 * read until the next batch is decoded.
 */
export interface SequenceContext {
  readonly sequences: number;
  /** Maximum number of tokens in one sequence. */
  readonly size: number;
  /**
   * Evaluates all items in one batch. Their sequences must be in ascending order. Returns the scores item by item; undefined for an
   * item that did not request them.
   */
  decode(items: readonly BatchItem[]): Promise<(TokenScores | undefined)[]>;
  /** Replaces one sequence's cache by a copy of another's. */
  copy(target: number, source: number): Promise<void>;
  /** Trims a sequence's cache to its first `length` tokens. Returns false if the architecture cannot do that; the cache is then empty. */
  trim(sequence: number, length: number): boolean;
}
