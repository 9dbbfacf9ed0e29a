import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { manifestFileOf, readStageManifest, type StageManifest } from '../files/index.ts';
import { parseQueryRepeats, QUERY_REPEATS_IN_WORDS, type QueryRepeats } from '../search/index.ts';
import { DataError } from '../system/index.ts';

/**
 * How the vectors of a query and its expansions become one: a weight of the expansions, (1 - alpha)·E(query) + alpha·mean of
 * E(expansions); `mean`, in which the query weighs as much as each of the N expansions (alpha = N / (N + 1), HyDE); or `joined`,
 * the mean of the vectors of query and expansion in one text (Query2doc).
 */
export type ExpansionWeight = number | 'mean' | 'joined';

/** Reads a weight from 0 to 1, `mean` or `joined`. */
export const alphaSchema = z.union([z.number(), z.string()]).transform((given, context): ExpansionWeight => {
  if (given === 'mean' || given === 'joined') return given;
  const number = typeof given === 'string' && given.trim() === '' ? Number.NaN : Number(given);
  if (number >= 0 && number <= 1) return number;
  context.addIssue('expected a number from 0 to 1, mean or joined');
  return z.NEVER;
});

/** Reads a number of repeats of at least 1, or a way to compute it. */
export const queryRepeatsSchema = z.union([z.number(), z.string()]).transform((given, context): QueryRepeats => {
  const repeats = parseQueryRepeats(given);
  if (repeats !== undefined && repeats !== 0) return repeats;
  context.addIssue(`expected ${QUERY_REPEATS_IN_WORDS}, with numbers above 0`);
  return z.NEVER;
});

/** How expansions are combined with their query, in a dense and in a lexical search. */
export const combinationSchema = z.object({ alpha: alphaSchema, queryRepeats: queryRepeatsSchema });
export type Combination = z.output<typeof combinationSchema>;

/** LLM-QE's weight for dense search (arXiv 2502.17057, section 3.1), and Query2doc's repeats for lexical search. */
export const DEFAULT_COMBINATION: Combination = { alpha: 0.5, queryRepeats: 5 };

/** Where a part of a combination comes from: the user, the manifest of the expansions, or neither. */
export type CombinationSource = 'given' | 'expansions' | 'default';

/** A combination to search with, and the origin of each part. Spread it into retrieval settings. */
export interface ChosenCombination extends Combination {
  chosenBy: Record<keyof Combination, CombinationSource>;
  /** The strategy that the manifest of the expansions names. */
  strategy: string | undefined;
}

/**
 * Decides how expansions are combined with their queries: as the user says, otherwise as the manifest of the expansions says,
 * otherwise as {@link DEFAULT_COMBINATION}.
 *
 * @param file `expansions.jsonl`, or the queries file in BEIR's layout that was written with it; undefined for other expansions
 * @throws DataError if the manifest is broken, or holds a combination that this version does not know
 */
export async function combinationOf(
  file: string | undefined,
  given: { [Part in keyof Combination]?: Combination[Part] | undefined } = {},
): Promise<ChosenCombination> {
  const manifest = file === undefined ? undefined : await manifestOf(file);
  const recorded = manifest === undefined ? undefined : recordedIn(manifest, file!);
  const choose = <Part extends keyof Combination>(part: Part): [Combination[Part], CombinationSource] => {
    if (given[part] !== undefined) return [given[part] as Combination[Part], 'given'];
    return recorded === undefined ? [DEFAULT_COMBINATION[part], 'default'] : [recorded[part], 'expansions'];
  };
  const [alpha, ofAlpha] = choose('alpha');
  const [queryRepeats, ofRepeats] = choose('queryRepeats');
  const strategy = manifest?.about.strategy;
  return {
    ...{ alpha, queryRepeats, chosenBy: { alpha: ofAlpha, queryRepeats: ofRepeats } },
    strategy: typeof strategy === 'string' ? strategy : undefined,
  };
}

function recordedIn({ about }: StageManifest, file: string): Combination | undefined {
  if (about.combination === undefined) return undefined;
  const parsed = combinationSchema.safeParse(about.combination);
  if (parsed.success) return parsed.data;
  throw new DataError(`the manifest holds an unknown combination: ${JSON.stringify(about.combination)}`, {
    file: manifestFileOf(file),
    fix: 'Pass both --alpha and --query-repeats, or write the expansions again with this version.',
    cause: parsed.error,
  });
}

/** More manifests in one folder are not searched for the one that belongs to a queries file. */
const MOST_MANIFESTS = 100;

/** Returns the manifest of expansions, or of the expansions that a queries file was written with. */
async function manifestOf(file: string): Promise<StageManifest | undefined> {
  const own = await readStageManifest(file);
  if (own !== undefined) return own;
  const folder = dirname(file);
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((one) => one.endsWith('.manifest.json')).slice(0, MOST_MANIFESTS)) {
    const records = join(folder, name.replace(/\.manifest\.json$/, '.jsonl'));
    // A broken manifest of other records does not concern this file.
    const manifest = await readStageManifest(records).catch(() => undefined);
    if (manifest?.about.queriesFile === basename(file)) return manifest;
  }
  return undefined;
}

/** Returns one sentence on how the retriever combines queries and expansions, and why. */
export function describeCombination(
  { alpha, queryRepeats, chosenBy, strategy }: ChosenCombination,
  retriever: string,
): string {
  const origin: Record<CombinationSource, string> = {
    given: 'given',
    default: 'default',
    expansions: strategy === undefined ? 'recorded with the expansions' : `as ${strategy} does it`,
  };
  const dense = `alpha ${alpha} (${origin[chosenBy.alpha]})`;
  const lexical = `query repeats ${queryRepeats} (${origin[chosenBy.queryRepeats]})`;
  return `Expansions are combined with ${retriever === 'bm25' ? lexical : retriever === 'dense' ? dense : `${dense}, ${lexical}`}.`;
}
