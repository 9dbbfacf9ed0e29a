import { isServerAddress, refuseIdleOptions, refuseServerOptions } from '../servers/index.ts';
import { refuseServerOffline, UsageError } from '../system/index.ts';
import { type Recipe, WRITER_DEFAULTS } from './recipe/recipe-schema.ts';
import { serversOf } from './recipe/recipe-servers.ts';
import { check, passChecks, type RecipeCheck } from './run/recipe-checks.ts';
import {
  type AlignmentContext,
  type AlignmentStage,
  type CheckOptions,
  type MachineFacts,
  stagesOf,
} from './run/stage.ts';

/**
 * Runs all checks that need neither data nor models.
 * @throws UsageError naming the key, DataError if a file does not exist
 */
export async function checkRecipe(
  recipe: Recipe,
  stages: readonly AlignmentStage[],
  options: CheckOptions = {},
): Promise<void> {
  await passChecks(settingsChecks(recipe, stages, options));
}

/** The checks that need only the recipe; files that it names are read. */
export function settingsChecks(
  recipe: Recipe,
  stages: readonly AlignmentStage[],
  options: CheckOptions = {},
): RecipeCheck[] {
  return [
    ...stagesOf({ stages, recipe }).flatMap((stage) => stage.checks?.(recipe, options) ?? []),
    check('encoder', () => checkEncoder(recipe)),
    ...writerChecks(recipe),
    ...(recipe.rounds > 1 ? [check('rounds', () => checkRounds(recipe))] : []),
    ...serverChecks(recipe, options),
  ];
}

/** The checks of unfinished stages that depend on this machine. */
export function machineChecks(
  { recipe, stages, done }: Pick<AlignmentContext, 'recipe' | 'stages' | 'done'>,
  { only, ...facts }: Omit<MachineFacts, 'isElsewhere'> & { only?: string | undefined },
): RecipeCheck[] {
  const all = stagesOf({ stages, recipe })
    .filter(({ name }) => !done.has(name))
    .flatMap((stage) => {
      const isElsewhere = only !== undefined && only !== stage.name;
      return stage.machineChecks?.(recipe, { ...facts, isElsewhere }) ?? [];
    });
  return [...new Map(all.map((one) => [one.input, one])).values()];
}

/** The checks of unfinished stages on this machine that need the data, and on request the models. */
export function contentChecks(
  context: AlignmentContext,
  { only, loadsModels = false }: { only?: string | undefined; loadsModels?: boolean | undefined },
): RecipeCheck[] {
  return stagesOf(context)
    .filter(({ name }) => !context.done.has(name) && (only === undefined || only === name))
    .flatMap((stage) => [
      ...(stage.dataChecks?.(context) ?? []),
      ...(loadsModels ? (stage.modelChecks?.(context) ?? []) : []),
    ]);
}

function checkEncoder({ encoder }: Recipe): string {
  const { model, encoderModel, precision, pooling, maxLength, batchSize, maxWait } = encoder;
  if (!isServerAddress(model)) {
    refuseServerOptions('the encoder', { encoderModel, batchSize, maxWait });
    return model;
  }
  refuseIdleOptions('the encoder', { precision: unlessDefault(precision, 'f32'), pooling, maxLength });
  if (encoderModel !== undefined) return model;
  throw new UsageError('an embedding server needs the name of its model', {
    fix: 'Set encoder.encoderModel to the name that the server lists under /models.',
  });
}

/** Servers hold the LLM of one round; later rounds need another one under the same name. @throws UsageError */
function checkRounds({ rounds, order, generator, expansion }: Recipe): string {
  const [server] = [...generator.servers, ...expansion.servers];
  if (server === undefined) return `${rounds}, ${order}`;
  throw new UsageError(`the LLM changes from round to round, but ${server} serves only one`, {
    fix: 'Use the embedded runtime (no generator.servers, no expansion.servers), or one round. Servers may write the answers.',
  });
}

/** Settings that have no effect because a server writes, or because none does. */
function writerChecks({ generator, answerGenerator, expansion }: Recipe): RecipeCheck[] {
  const hasArmServers = expansion.servers.length > 0;
  const { serverModels } = expansion;
  return [
    // The embedded runtime expands the arms with the generator's settings, unless servers do.
    check('generator', () => checkWriter(generator, { runs: !hasArmServers, calls: hasArmServers })),
    ...(answerGenerator === undefined
      ? []
      : [check('answerGenerator', () => checkWriter(answerGenerator, { runs: false, calls: false }))]),
    check('expansion', () => {
      if (!hasArmServers) refuseServerOptions('the writer of the arms', armNames(serverModels));
      return hasArmServers ? expansion.servers.join(', ') : 'the embedded runtime';
    }),
  ];
}

/**
 * @param elsewhere whether the embedded runtime also runs with these settings, and servers are also called with them, outside
 * this writer's own work
 */
function checkWriter(
  { servers, serverModel, concurrency, sequences, context, gpu }: Recipe['generator'] | AnswerGenerator,
  elsewhere: { runs: boolean; calls: boolean },
): string {
  const isServed = servers.length > 0;
  if (isServed && !elsewhere.runs) {
    refuseIdleOptions('the writer', { sequences: unlessDefault(sequences, WRITER_DEFAULTS.sequences), context, gpu });
  }
  if (!isServed) {
    const calls = elsewhere.calls ? undefined : unlessDefault(concurrency, WRITER_DEFAULTS.concurrency);
    refuseServerOptions('the writer', { serverModel, concurrency: calls });
  }
  return isServed ? servers.join(', ') : 'the embedded runtime';
}

type AnswerGenerator = NonNullable<Recipe['answerGenerator']>;

/** A setting that has its default may not have been set at all. */
function unlessDefault<T>(value: T, ofDefault: T): T | undefined {
  return value === ofDefault ? undefined : value;
}

function armNames(serverModels: Recipe['expansion']['serverModels']): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(serverModels).map(([arm, name]) => [`serverModels.${arm}`, name]));
}

/** Whether connections to the servers of the recipe are allowed. */
function serverChecks(recipe: Recipe, options: CheckOptions): RecipeCheck[] {
  const servers = serversOf(recipe).map(({ address }) => address);
  if (servers.length === 0) return [];
  const find = () => {
    for (const server of servers) refuseServerOffline(server, options.offline);
    return servers.join(', ');
  };
  return [check('servers', find)];
}
