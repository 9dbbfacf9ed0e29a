import { z } from 'zod';

/**
 * Bounds of the numbers that describe a network, for config.json, GGUF metadata and adapters. They are well above any
 * published model, and far below what would cost minutes or gigabytes before the weights disprove it.
 */
export const BOUNDS = {
  /** llama.cpp's LLAMA_MAX_LAYERS. */
  layers: 512,
  heads: 2 ** 15,
  /** Size of a hidden state. */
  width: 2 ** 20,
  /** Inner size of a feed-forward layer. */
  innerWidth: 2 ** 24,
  headWidth: 2 ** 16,
  vocabulary: 2 ** 24,
  /** Positions, windows and lengths in tokens. */
  tokens: 2 ** 31 - 1,
  experts: 4096,
  rank: 2 ** 16,
  /** Factors, bases and wavelengths of rotary embeddings. */
  rotary: 1e12,
} as const;

const upTo = (most: number) => z.int().min(1).max(most);

/** Schemas of the numbers of a network. */
export const numbers = {
  layers: upTo(BOUNDS.layers),
  heads: upTo(BOUNDS.heads),
  width: upTo(BOUNDS.width),
  innerWidth: upTo(BOUNDS.innerWidth),
  headWidth: upTo(BOUNDS.headWidth),
  vocabulary: upTo(BOUNDS.vocabulary),
  tokens: upTo(BOUNDS.tokens),
  rank: upTo(BOUNDS.rank),
  epsilon: z.number().positive().max(1),
  rotary: z.number().positive().max(BOUNDS.rotary),
  /** A token id; some files write -1 for none. */
  tokenId: z.int().min(-1).max(BOUNDS.tokens),
} as const;
