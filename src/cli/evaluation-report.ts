import { type BeirDataset, type Expansion, readExpansions } from '../data/index.ts';
import {
  type AlphaChoice,
  type Arm,
  auditLeaks,
  type Comparison,
  describeLeaks,
  measureLatencies,
  type TunedData,
} from '../evaluate/index.ts';
import {
  buildReport,
  describeAlpha,
  describeCost,
  describeExpansions,
  describeNoise,
  describeSample,
  describeSettings,
  type ExpansionFacts,
  expansionSettings,
  readExpansionFacts,
  writeReport,
} from '../report/index.ts';
import { type ChosenCombination, describeCombination } from '../retrieve/index.ts';
import type { CommandContext } from './command.ts';
import { type Gated, gateInWords } from './gated-evaluation.ts';
import { describeTuned } from './tuned-combination.ts';

/** What was searched, scored and compared. */
export interface Evaluated {
  /** The main arm: raw queries if there are no expansions, expanded ones, or those that a gate decided on. */
  arm: Arm;
  /** Raw queries, if the main arm expands. */
  raw: Arm | undefined;
  comparison: Comparison | undefined;
  choice: AlphaChoice | undefined;
  combination: ChosenCombination;
  tuned: TunedData | undefined;
  gated: Gated | undefined;
}

/** Options of an evaluation that its report shows. */
export interface EvaluatedOptions {
  split: string;
  retriever: string;
  expansions?: string | undefined;
  /** Whether the texts of the expansions replace the queries. */
  asIs?: boolean | undefined;
  queries?: string | undefined;
  depth: number;
  keepSelf: boolean;
  seed: number;
}

/** All arms, in the order of tables: raw, expanded, gate, oracle, as far as there are. */
export function armsOf({ arm, raw, gated }: Evaluated): Arm[] {
  if (raw === undefined) return [arm];
  return gated === undefined ? [raw, arm] : [raw, gated.always, arm, gated.oracle];
}

/** Writes the report of an evaluation. */
export async function reportEvaluation(
  file: string,
  dataset: BeirDataset,
  found: Evaluated,
  given: EvaluatedOptions,
  context: CommandContext,
): Promise<void> {
  const { arm, raw, comparison, gated } = found;
  const facts = given.expansions === undefined ? undefined : await readExpansionFacts(given.expansions);
  const written = given.expansions === undefined ? [] : [...(await readExpansions(given.expansions)).values()].flat();
  const left = new Set(gated?.decisions.filter(({ expand }) => !expand).map(({ query }) => query));
  const isUsed = ({ query }: Expansion) => !left.has(query);
  const arms = armsOf(found);
  // A gate's own time is not that of one search; it is told in words.
  const timed = gated === undefined ? arms : [raw!, gated.always];
  const depth = { depth: given.depth, dropSelf: !given.keepSelf, signal: context.signal };
  const data = await buildReport({
    title: raw === undefined ? `Evaluation on ${dataset.name}` : `What expansion did on ${dataset.name}`,
    dataset: {
      name: dataset.name,
      split: given.split,
      documents: arm.retriever.size,
      queries: arm.topics.queries.length,
    },
    arms,
    comparisons: comparison === undefined ? [] : [comparison],
    baseline: raw,
    expanded: arm,
    documents: dataset.documents(context.signal),
    cost: raw === undefined || written.length === 0 ? undefined : describeCost(written.filter(isUsed), arm),
    latencies: await measureLatencies(timed, depth),
    made: [...howMade(found, facts, given), ...(gated === undefined ? [] : gateInWords(gated))],
    settings: await describeSettings(dataset, [arm], written, given.seed, expansionSettings(facts)),
    remarks: [
      ...(raw === undefined ? [] : [describeNoise(facts)].filter((remark) => remark !== undefined)),
      ...(raw === undefined ? [] : await leaksOf(dataset, arm, context.signal)),
      ...arm.retriever.notes,
    ],
  });
  await writeReport(file, data);
}

/** Tells how much the expansions say what the corpus says. */
async function leaksOf(dataset: BeirDataset, { topics }: Arm, signal: AbortSignal): Promise<string[]> {
  if (topics.queries.every(({ expansions }) => expansions.length === 0)) return [];
  return describeLeaks(await auditLeaks(dataset, topics, { signal }));
}

/** Describes who wrote the expansions, how they are weighted, and whether there are few queries. */
function howMade(found: Evaluated, facts: ExpansionFacts | undefined, given: EvaluatedOptions): string[] {
  const { arm } = found;
  const few = describeSample(arm.topics.queries.length);
  const sentences =
    found.raw === undefined ? [few] : [describeWriter(facts, given), ...describeWeight(found, given), few];
  return sentences.filter((sentence) => sentence !== undefined);
}

function describeWriter(facts: ExpansionFacts | undefined, { queries }: EvaluatedOptions): string {
  return queries === undefined ? describeExpansions(facts) : `Expansions from ${queries}.`;
}

/** Describes how queries and expansions are combined. */
export function describeWeight(
  { choice, combination, tuned }: Evaluated,
  { retriever, asIs, expansions }: Pick<EvaluatedOptions, 'retriever' | 'asIs' | 'expansions'>,
): string[] {
  if (asIs) return [`The texts of ${expansions} replace the queries (--as-is).`];
  if (tuned !== undefined) return [describeTuned(tuned)];
  const { alpha, chosenBy } = combination;
  const isDense = retriever !== 'bm25';
  const repeats = retriever === 'dense' ? [] : [describeCombination(combination, 'bm25')];
  if (!isDense) return repeats;
  if (choice !== undefined) return [describeAlpha(choice.words, choice.source), ...repeats];
  if (chosenBy.alpha === 'expansions') return [describeCombination(combination, retriever)];
  return [describeAlpha(alpha, chosenBy.alpha), ...repeats];
}
