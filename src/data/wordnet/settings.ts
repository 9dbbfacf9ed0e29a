import { z } from 'zod';
import { CacheKind } from '../../system/index.ts';

/** Options of {@link buildWordnetDataset}, with the names of the command line. */
export const wordnetOptions = z.object({
  out: z.string().min(1).describe('folder of the data set').meta({ valueName: 'DIR' }),
  corpus: size(20_000).describe('documents in the corpus'),
  train: size(400).describe('training queries'),
  dev: size(300).describe('development queries'),
  test: size(1_000).describe('test queries'),
  seed: z.coerce.number().int().min(0).max(0xffffffff).default(13).describe('seed of every random choice'),
  dict: z
    .string()
    .optional()
    .describe('folder with data.noun and index.adj of a WordNet release other than the installed one')
    .meta({ valueName: 'DIR' }),
  force: z.boolean().default(false).describe('replace a data set that was made with other settings'),
});

export type WordnetOptions = z.output<typeof wordnetOptions>;

function size(usual: number) {
  return z.coerce.number().int().min(0).max(1_000_000).default(usual);
}

/** Raise it whenever the same settings would make another data set. */
export const WORDNET_FORMAT = 1;

/** Data sets for which no folder was given. */
export const WORDNET_CACHE = new CacheKind({
  name: 'datasets',
  format: WORDNET_FORMAT,
  what: 'data sets made from WordNet',
});

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().min(0);
const perSplit = z.object({ train: count, dev: count, test: count });

/** What the data set was made from, and how. It is equal for equal settings, so it contains no date and no path. */
export const wordnetManifest = z.object({
  kind: z.literal('wordnet'),
  version: z.literal(WORDNET_FORMAT),
  settings: z.object({
    seed: count,
    corpus: count,
    train: count,
    dev: count,
    test: count,
    wordnet: z.string(),
    /** SHA-256 of data.noun and of index.adj. */
    nouns: hex,
    adjectives: hex,
  }),
  synsets: z.object({
    all: count,
    /** Number of synsets that share the document of an earlier one with an identical gloss. */
    merged: count,
    dropped: z.object({ empty: count, offensive: count, nearDuplicate: count }),
    /** Number of distinct glosses, of which the corpus is a part. */
    documents: count,
  }),
  terms: z.object({ all: count, askable: count, rejected: z.record(z.string(), count) }),
  queries: perSplit,
  judgements: perSplit,
  triples: count,
  /** SHA-256 of each file. */
  files: z.record(z.string(), hex),
});

export type WordnetManifest = z.output<typeof wordnetManifest>;
