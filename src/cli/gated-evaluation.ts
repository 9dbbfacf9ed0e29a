import type { BeirDataset } from '../data/index.ts';
import { type Arm, evaluateGated, type GatedEvaluation, REPORTED_MEASURES, type Topics } from '../evaluate/index.ts';
import { Gate } from '../gate/index.ts';
import { percent, signed } from '../report/index.ts';
import { CorpusSearch, type RetrievalSettings, type Retriever, rememberingEncoder } from '../retrieve/index.ts';
import { counted, UsageError } from '../system/index.ts';
import type { CommandContext } from './command.ts';
import { harmedTable, policyTable, policyTests } from './print-policies.ts';

/** A gate's evaluation, with the arm that always expands. */
export type Gated = GatedEvaluation & { always: Arm };

export interface GateOptions {
  gate?: string | undefined;
  alphas?: readonly number[] | undefined;
}

/**
 * Opens the gate that the user names.
 * @throws UsageError if it would have nothing to decide on, or alpha is chosen otherwise; DataError for a broken file
 */
export async function openGate({ gate, alphas }: GateOptions, expanded: boolean): Promise<Gate | undefined> {
  if (gate === undefined) return undefined;
  if (!expanded)
    throw new UsageError('--gate decides on expansions, and there are none', { fix: 'Add --expansions FILE.' });
  if (alphas !== undefined) {
    throw new UsageError('--gate and --alphas both choose the weight of the expansions', {
      fix: 'Pass one of the two.',
    });
  }
  return Gate.open(gate);
}

/**
 * Says what makes the figures of a gate doubtful: another search, or queries that it was trained on.
 * @throws UsageError if it was trained for another kind of search
 */
export function gateWarnings(gate: Gate, retriever: Retriever, { dataset, split }: Topics): string[] {
  const known = `the gate was trained on these queries (split ${split} of ${dataset}): its figures here are too good to be true`;
  return [...gate.compareWith(retriever), ...(gate.wasTrainedOn(dataset, split) ? [known] : [])];
}

export interface RunGateInputs {
  dataset: BeirDataset;
  /** Has an open encoder, unless the search is lexical. */
  search: CorpusSearch;
  gate: Gate;
  never: Arm;
  always: Arm;
  settings: RetrievalSettings;
  /** Ids of the queries that the file of expansions holds. */
  written: ReadonlySet<string> | undefined;
}

/** Evaluates a gate. The texts are embedded once for all its searches. */
export async function runGate(
  { dataset, search, gate, never, always, settings, written }: RunGateInputs,
  { depth, keepSelf, seed }: { depth: number; keepSelf: boolean; seed: number },
  { signal, progress }: CommandContext,
): Promise<GatedEvaluation> {
  const isLexical = gate.data.madeFor.retriever === 'bm25';
  const encoder = isLexical ? undefined : rememberingEncoder(await search.encoder());
  const remembering = new CorpusSearch(dataset, settings, { signal, progress, encoder });
  try {
    const options = { measure: gate.data.measure, depth, keepSelf, seed, written, signal };
    return await evaluateGated(remembering, gate, { never, always }, options);
  } finally {
    await remembering.close();
  }
}

/** Prints the policies, their tests and the harm they do. */
export function sayGate(
  { report, withoutText, millisecondsPerQuery }: Gated,
  dataset: string,
  say: (line: string) => void,
): void {
  const named = [[dataset, report] as const];
  for (const table of [policyTable(named, 'nDCG@10'), policyTests(named), harmedTable(named)]) {
    say('');
    say(table);
  }
  if (withoutText > 0) say(withoutTextInWords(withoutText));
  say(`The gate took ${millisecondsPerQuery.toFixed(1)} ms per query, with its searches and without writing.`);
}

/** What the report page says of a gate. */
export function gateInWords({ report, withoutText, millisecondsPerQuery }: Gated): string[] {
  const { means, harmed, saved, queries, tests } = report;
  const test = (against: string) => {
    const { delta, interval, holm } = tests.find((one) => one.against === against)!;
    return `${signed(delta)} against ${against} expanding (95 % interval ${signed(interval[0])} to ${signed(interval[1])}, p ${holm.toFixed(4)} after Holm)`;
  };
  const harm = (policy: 'always' | 'gate') => {
    const { queries: count, share, atMost } = harmed[policy];
    return `${counted(count, 'query')} (${percent(share)}; at most ${percent(atMost)} of such queries with 95 % confidence)`;
  };
  return [
    `A gate decides query by query whether, and how much, to expand. nDCG@10: never ${means.never.toFixed(4)}, always ${means.always.toFixed(4)}, the best constant weight of its training ${means.constant.toFixed(4)}, gate ${means.gate.toFixed(4)}, oracle ${means.oracle.toFixed(4)}.`,
    `The gate: ${test('never')}; ${test('always')}.`,
    `Worse than without expansion: always ${harm('always')}; gate ${harm('gate')}.`,
    `The gate saves ${saved.queries} of ${queries} calls of the LLM, and takes ${millisecondsPerQuery.toFixed(1)} ms per query.`,
    ...(withoutText > 0 ? [withoutTextInWords(withoutText)] : []),
  ];
}

function withoutTextInWords(queries: number): string {
  return `${counted(queries, 'query')} that the gate leaves ${queries === 1 ? 'has' : 'have'} no text: always, constant and oracle search ${queries === 1 ? 'it' : 'them'} raw, so their figures are not those of expanding all.`;
}

/** The gate's part of the JSON document. */
export function gateJson({ report, gate, always, oracle, decisions, withoutText, millisecondsPerQuery }: Gated) {
  const measuresOf = ({ scores }: Arm) =>
    Object.fromEntries(REPORTED_MEASURES.map((name) => [name, scores.mean[name]]));
  return {
    ...report,
    measures: { always: measuresOf(always), gate: measuresOf(gate), oracle: measuresOf(oracle) },
    millisecondsPerQuery,
    withoutText,
    decisions,
  };
}
