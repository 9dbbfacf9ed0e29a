import { type RoundResult, roundResultSchema } from './round-result.ts';
import type { RunFolder } from './run-folder.ts';
import { type AlignmentContext, type AlignmentStage, keyedSettings, roundOf, stagesOf } from './stage.ts';

/** A round whose stages are finished. */
export interface Round {
  /** Its number, from 1. */
  round: number;
  context: AlignmentContext;
  /** Its measures on the dev queries; undefined if there is only one round. */
  result: RoundResult | undefined;
}

/** The stages of a round, without those that only the best round has. With one round, these are all stages. */
export function roundStages(context: Parameters<typeof stagesOf>[0]): AlignmentStage[] {
  const isOnly = context.recipe.rounds === 1;
  return stagesOf(context).filter(({ rounds }) => isOnly || rounds !== 'best');
}

/** The stages that only the best of several rounds has. */
export function bestStages(context: Parameters<typeof stagesOf>[0]): AlignmentStage[] {
  return context.recipe.rounds === 1 ? [] : stagesOf(context).filter(({ rounds }) => rounds === 'best');
}

/** The round that starts from the models of this one. */
export function roundAfter(context: AlignmentContext): AlignmentContext {
  return { ...context, before: context, done: new Map() };
}

/** A round, with what its stage `dev` has measured. */
export function finishedRound(context: AlignmentContext): Round {
  const result = context.done.get('dev')?.record.result;
  return { round: roundOf(context), context, result: result && roundResultSchema.parse(result) };
}

/** The round with the best value on dev, the earliest among equals; without values, the last. */
export function bestOf(rounds: readonly Round[]): Round {
  return rounds.reduce((best, other) => {
    if (best.result === undefined || other.result === undefined) return other;
    return other.result.value > best.result.value ? other : best;
  });
}

/**
 * Finds the finished stages, round by round, up to the first unfinished one. The key of a stage is known when all stages before it
 * are finished.
 *
 * @returns one context per round, in which `done` holds the finished stages
 */
export async function findRounds(first: AlignmentContext, runFolder: RunFolder): Promise<AlignmentContext[]> {
  const { rounds } = first.recipe;
  const found: AlignmentContext[] = [];
  for (let context = { ...first, done: new Map() }; found.length < rounds; context = roundAfter(context)) {
    const isComplete = await find(context, roundStages(context), runFolder);
    found.push(context);
    if (!isComplete) return found;
  }
  const best = bestOf(found.map(finishedRound)).context;
  await find(best, bestStages(best), runFolder);
  return found;
}

/**
 * The stages of which no round needs more work. With several rounds, only a complete run has any: a stage that is finished in one
 * round may be unfinished in the next.
 *
 * @param found what {@link findRounds} has found
 */
export function finishedInAll(
  found: readonly AlignmentContext[],
  { recipe }: Pick<AlignmentContext, 'recipe'>,
): AlignmentContext['done'] {
  if (recipe.rounds === 1) return found[0]!.done;
  const isComplete = found.length === recipe.rounds && isFinished(found.at(-1)!, roundStages);
  if (!isComplete) return new Map();
  const best = bestOf(found.map(finishedRound)).context;
  return new Map([...found.at(-1)!.done, ...best.done]);
}

function isFinished(context: AlignmentContext, stages: typeof roundStages): boolean {
  return stages(context).every(({ name }) => context.done.has(name));
}

/** Adds the finished stages to the context. @returns whether all are finished */
async function find(
  context: AlignmentContext,
  stages: readonly AlignmentStage[],
  runFolder: RunFolder,
): Promise<boolean> {
  for (const stage of stages) {
    const record = await runFolder.find(stage.name, keyedSettings(stage, context));
    if (record === undefined) return false;
    const folder = runFolder.folderOf(stage.name, record.key);
    context.done.set(stage.name, { record, folder, reused: true, changes: [] });
  }
  return true;
}
