import { z } from 'zod';
import { readBoundedJson } from '../files/index.ts';
import { madeForSchema, otherSettings } from '../gate/index.ts';
import type { Retriever } from '../retrieve/index.ts';
import { UsageError, writeDurably } from '../system/index.ts';
import { comparisonSchema } from './comparison.ts';
import type { Topics } from './topics.ts';
import { tunedCombinationSchema } from './tune-combination.ts';

/** Increase it when the format of `tuned.json` changes. */
const TUNED_FORMAT = 1;

const name = z.string().min(1).max(1000);
const point = tunedCombinationSchema.extend({ value: z.number() });

/** `tuned.json`: a combination of queries and expansions, and how it was chosen. */
export const tunedSchema = z.strictObject({
  kind: z.literal('tuned'),
  format: z.literal(TUNED_FORMAT, {
    error: `made by another version of llm-qe: this one reads format ${TUNED_FORMAT}`,
  }),
  /** Version of this package that wrote it. */
  version: name,
  dataset: name,
  /** The split it was tuned on, and the number of its queries. */
  split: name,
  queries: z.int().positive(),
  measure: name,
  seed: z.int().nonnegative(),
  madeFor: madeForSchema,
  best: point,
  /** The measure of raw queries. */
  raw: z.number(),
  points: z.array(point).max(100_000),
  inSample: comparisonSchema,
  crossValidated: comparisonSchema,
  chosenByParts: z.array(tunedCombinationSchema).max(1000),
});
export type TunedData = z.output<typeof tunedSchema>;

/** @throws DataError if the file is missing, too large, or was not written by `llm-qe tune`; ResourceError */
export async function readTunedFile(file: string): Promise<TunedData> {
  return readBoundedJson(file, tunedSchema, {
    what: 'a tuned combination',
    fix: 'Pass a file that `llm-qe tune` wrote, or tune again.',
    mostBytes: 2 ** 24,
  });
}

/** @throws ResourceError */
export async function writeTunedFile(file: string, tuned: Omit<TunedData, 'kind' | 'format'>): Promise<void> {
  const data: TunedData = { kind: 'tuned', format: TUNED_FORMAT, ...tuned };
  await writeDurably(file, `${JSON.stringify(data, null, 1)}\n`);
}

/**
 * Returns one sentence for each thing that makes the figures of a tuned combination doubtful: another search, or the queries that it
 * was tuned on.
 * @throws UsageError for another kind of search
 */
export function tunedWarnings(
  tuned: TunedData,
  retriever: Pick<Retriever, 'name' | 'settings'>,
  { dataset, split }: Pick<Topics, 'dataset' | 'split'>,
): string[] {
  const known = `the combination was tuned on these queries (split ${split} of ${dataset}): its figures here are too good to be true`;
  const isKnown = tuned.dataset === dataset && tuned.split === split;
  return [...compareWithTuned(tuned, retriever), ...(isKnown ? [known] : [])];
}

/** One sentence for each way in which a search differs from the one that was tuned. @throws UsageError for another kind of search */
function compareWithTuned({ madeFor }: TunedData, retriever: Pick<Retriever, 'name' | 'settings'>): string[] {
  if (retriever.name !== madeFor.retriever) {
    throw new UsageError(`the combination was tuned for --retriever ${madeFor.retriever}, not ${retriever.name}`, {
      fix: `Pass --retriever ${madeFor.retriever}, or tune for ${retriever.name} with \`llm-qe tune\`.`,
    });
  }
  return otherSettings(madeFor, retriever).map((words) => `the combination was tuned for another search (${words})`);
}
