import { BEIR_DATASETS } from '../data/index.ts';
import type { ParityVerdict, SuiteParity } from '../report/index.ts';
import { PUBLISHED_SCORES, type PublishedScores } from './published.ts';
import type { SetRun, SuiteRun } from './run-suite.ts';
import type { SystemRun } from './system-run.ts';
import { isExpanded, type SuiteSystem } from './system-spec.ts';

/** The measure of all published scores. */
const MEASURE = 'nDCG@10';

/**
 * Holds the raw systems of a suite against the scores that others publish for the same search. Systems that are no
 * raw baseline, samples of queries, and sets without a published score are left out.
 */
export function parityOf({ sets }: SuiteRun, systems: readonly SuiteSystem[]): SuiteParity[] {
  const found: SuiteParity[] = [];
  for (const system of systems.filter(isRawBaseline)) {
    for (const [name, runs] of groupRuns(sets, system.name)) {
      const published = PUBLISHED_SCORES.find(
        (one) => Object.hasOwn(one.scores, name) && isSame(one, system, runs[0]!),
      );
      if (published === undefined || !isPublishedData(name, sets, runs)) continue;
      const expected = published.scores[name]!;
      const got = runs.reduce((sum, { measures }) => sum + (measures[MEASURE] ?? 0), 0) / runs.length;
      found.push({
        ...{ set: name, system: system.name, published: published.name, source: published.source },
        ...{ measure: MEASURE, expected, got, verdict: verdictOf(got - expected, published) },
      });
    }
  }
  return found;
}

/** The runs of a system by row; a group counts only if all its sets are there. */
function groupRuns(sets: readonly SetRun[], system: string): Map<string, SystemRun[]> {
  const rows = new Map<string, (SystemRun | undefined)[]>();
  for (const { set, runs } of sets) {
    const key = set.group ?? set.name;
    rows.set(key, [...(rows.get(key) ?? []), runs.get(system)]);
  }
  const whole = [...rows].filter(([, runs]) => !runs.includes(undefined));
  return new Map(whole as [string, SystemRun[]][]);
}

/**
 * Whether a row is the data that the score is published for. A folder of one's own may have the name of a known set and hold only a part of
 * it: it counts if it has as many documents.
 */
function isPublishedData(name: string, sets: readonly SetRun[], runs: readonly SystemRun[]): boolean {
  const own = sets.filter(({ set }) => (set.group ?? set.name) === name && set.source.kind === 'folder');
  if (own.length === 0) return true;
  const documents = runs.reduce((sum, run) => sum + run.documents, 0);
  return Object.hasOwn(BEIR_DATASETS, name) && BEIR_DATASETS[name]!.documents === documents;
}

/**
 * Whether a system searches the plain queries, exactly, by the usual rule for self hits. Every other search has another score than the
 * published one, so a verdict on it would say nothing.
 */
function isRawBaseline(system: SuiteSystem): boolean {
  const { feedback, keepSelf, vectors, index } = system.retrieval;
  if (isExpanded(system) || feedback !== undefined || keepSelf) return false;
  return system.retriever === 'bm25' || (vectors === 'f32' && index === 'exact');
}

/** Whether a system searches as the published one does. */
function isSame({ retriever, settings = {}, encoders }: PublishedScores, system: SuiteSystem, run: SystemRun): boolean {
  if (system.retriever !== retriever) return false;
  if (encoders !== undefined && !encoders.includes(encoderName(system.retrieval.encoder))) return false;
  return Object.entries(settings).every(([name, value]) => run.settings[name] === value);
}

/** `bge-base-en-v1.5` for `hf:BAAI/bge-base-en-v1.5`, and for a folder of that name. */
function encoderName(encoder: string): string {
  return encoder.replace(/^hf:/, '').replace(/\/+$/, '').split('/').at(-1)!.replace(/@.*$/, '').toLowerCase();
}

function verdictOf(difference: number, { tolerance }: PublishedScores): ParityVerdict {
  const size = Math.abs(difference) - 1e-9;
  if (size <= tolerance.equal) return 'equal';
  return size <= tolerance.near ? 'near' : 'off';
}

/** What the JSON of a command says of one set: the baseline's verdict, and those of all its systems. */
export interface ParityOfSet {
  expected: number;
  got: number;
  verdict: ParityVerdict;
  system: string;
  source: string;
  systems: Record<string, Pick<SuiteParity, 'expected' | 'got' | 'verdict' | 'published' | 'source'>>;
}

/** Groups verdicts by set. The first figures are those of the baseline if it has a published score, otherwise of the first system that has. */
export function parityBySet(parity: readonly SuiteParity[], baseline: string): Record<string, ParityOfSet> {
  const bySet: Record<string, ParityOfSet> = {};
  for (const set of new Set(parity.map((one) => one.set))) {
    const all = parity.filter((one) => one.set === set);
    const { expected, got, verdict, system, source } = all.find((one) => one.system === baseline) ?? all[0]!;
    const systems = Object.fromEntries(
      all.map((one) => {
        const { published } = one;
        return [
          one.system,
          { expected: one.expected, got: one.got, verdict: one.verdict, published, source: one.source },
        ];
      }),
    );
    bySet[set] = { expected, got, verdict, system, source, systems };
  }
  return bySet;
}
