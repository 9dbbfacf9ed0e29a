import { z } from 'zod';
import { type Encoder, loadEncoder } from '../embed/index.ts';
import { Gate } from '../gate/index.ts';
import type { Generator } from '../generate/index.ts';
import { ModelStore } from '../models/index.ts';
import { defaultRetrievalSettings, openEncoder, retrievalSettings } from '../retrieve/index.ts';
import {
  byName,
  compareGate,
  createExpander,
  LONGEST_BUDGET_MS,
  refuseOtherGate,
  remembering,
  ServedIndex,
  type Service,
} from '../serve/index.ts';
import { isServerAddress, serverAddressSchema } from '../servers/index.ts';
import { inGroup, UsageError } from '../system/index.ts';
import type { CommandContext } from './command.ts';
import { choosePrompt, generatorOptions, openGenerator, refuseDocuments, samplingOf } from './open-generator.ts';

const { encoder, queryPrefix, documentPrefix, precision, pooling, maxLength, similarity, expansionRole, passages } =
  retrievalSettings;

/**
 * Few texts share one context with all threads, so a lone query is written by all of them. From eight texts on, each thread would have a
 * context of its own (see `planLanes`).
 */
const SIDE_BY_SIDE = 4;

/** A request that waits for a server is worth little when it is late: one more attempt, and none after a long wait. */
const [RETRIES, LONGEST_WAIT_SECONDS] = [1, 2];

/** Options of every command that holds encoder, LLM and indexes open, and answers queries. */
export const serviceOptions = {
  index: z
    .array(z.string())
    .default([])
    .describe(
      "corpus to search: an index folder of `llm-qe index build`, whose changes are seen, a folder in BEIR's layout, or a JSONL file; named after the folder or file",
    )
    .meta({ valueName: 'DIR|FILE' }),
  passages,
  budgetMs: z.coerce
    .number()
    .int()
    .min(0)
    .max(LONGEST_BUDGET_MS)
    .default(300)
    .describe('time for the expansion of a query, if a request does not say; 0 never asks the LLM'),
  expand: z.boolean().default(true).describe('never expand; only embed and search'),
  student: z
    .string()
    .optional()
    .describe('encoder that the expansion was distilled into, for queries whose expansion is not there in time')
    .meta({ valueName: 'DIR' }),
  gate: z
    .string()
    .optional()
    .describe(
      'gate.json from `llm-qe gate train`: decides for each query whether the LLM is asked, and sets the weight of its text in place of --alpha; reads hits of --index, if there is one',
    )
    .meta({ valueName: 'FILE' }),
  rules: z
    .boolean()
    .default(true)
    .describe(
      'expand also quoted words, names and identifiers, which usually lose by it (a --gate replaces this rule)',
    ),
  mostTexts: z.coerce
    .number()
    .int()
    .min(1)
    .default(64)
    .describe('texts that the LLM writes or has waiting at once; beyond that, queries are not expanded'),
  ...inGroup('Encoder:', {
    encoder: encoder.describe('encoder: a model name, a folder, or hf:owner/name; for a server see --upstream'),
    upstream: serverAddressSchema
      .optional()
      .describe('your own embedding server: its vectors stay as they are, only those of queries are expanded')
      .meta({ valueName: 'URL' }),
    upstreamModel: z.string().optional().describe('name of the model there').meta({ valueName: 'NAME' }),
    upstreamTimeout: z.coerce
      .number()
      .positive()
      .default(30)
      .describe('time limit of one call to the embedding server, in seconds'),
    ...{ queryPrefix, documentPrefix, precision, pooling, maxLength, similarity, expansionRole },
    alpha: z.coerce
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe('weight of a whole expansion in the vector of a query'),
  }),
  ...generatorOptions,
  maxTokens: generatorOptions.maxTokens.default(128),
  maxWait: generatorOptions.maxWait.describe(
    `longest wait, in seconds, that a server may ask for; one that asks for more is not asked for that time (default ${LONGEST_WAIT_SECONDS})`,
  ),
  sequences: generatorOptions.sequences.describe(
    `texts that the embedded model writes in parallel (default ${SIDE_BY_SIDE}); 1 writes a lone text fastest`,
  ),
};
const schema = z.object(serviceOptions);
export type ServiceOptions = z.output<typeof schema>;

const MOST_WARNINGS = 100;

/** Warns of each kind of error once: a server that is down fails every request. */
export function warnOnce({ warn }: CommandContext): (error: unknown) => void {
  const told = new Set<string>();
  return (error) => {
    const words = wordsOf(error);
    if (told.has(words) || told.size >= MOST_WARNINGS) return;
    told.add(words);
    warn(words);
  };
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Calls to an embedding server at once. */
const UPSTREAM_CALLS = 8;
/** What has to be closed, in the order of its opening. */
export class Opened {
  readonly #all: { close(): unknown }[] = [];

  add<T extends { close(): unknown }>(one: T): T {
    this.#all.push(one);
    return one;
  }

  async close(): Promise<void> {
    for (const one of this.#all.reverse()) await one.close();
  }
}

/**
 * Opens what queries are answered with, and warms it.
 * @param opened receives what has to be closed, also of a failed start
 */
export async function openService(given: ServiceOptions, context: CommandContext, opened: Opened): Promise<Service> {
  const { signal, progress } = context;
  const task = progress.task('opening models and indexes', 2 + given.index.length, 'parts');
  const settings = settingsOf(given);
  refuseIdle(given);
  const store = new ModelStore({ offline: given.offline, progress });
  const gate = given.gate === undefined ? undefined : await Gate.open(given.gate);
  if (gate !== undefined) refuseOtherGate(gate);
  const { upstream, upstreamTimeout: timeoutSeconds, maxWait: maxWaitSeconds = LONGEST_WAIT_SECONDS } = given;
  const limits = upstream === undefined ? {} : { retries: RETRIES, timeoutSeconds, maxWaitSeconds };
  const encoder = opened.add(await openEncoder(settings, store, signal, progress, undefined, limits));
  // The gate's searches need the vectors that are served afterwards.
  const own = gate === undefined ? encoder : remembering(encoder);
  task.advance();
  const student = given.student === undefined ? undefined : opened.add(await openStudent(given.student, store, own));
  const live = { retries: RETRIES, sideBySide: SIDE_BY_SIDE };
  const asked = { ...given, maxWait: maxWaitSeconds };
  const generator = given.expand ? opened.add(await openGenerator(asked, context, live)) : undefined;
  const prompt = await choosePrompt(given);
  refuseDocuments(prompt, '`llm-qe serve`');
  const { samples, seed, budgetMs, mostTexts, alpha: weight, expansionRole: role } = given;
  const indexes: ServedIndex[] = [];
  // A corpus is embedded with patience.
  const patient =
    given.index.length === 0 || upstream === undefined ? own : await openEncoder(settings, store, signal, progress);
  if (patient !== own) opened.add(patient);
  for (const path of given.index) {
    const options = { signal, progress, onError: (error: unknown) => context.warn(`${path}: ${wordsOf(error)}`) };
    indexes.push(opened.add(await ServedIndex.open(path, patient, settings, options)));
    task.advance();
  }
  const searches = indexes.map(({ firstPass }) => firstPass);
  for (const words of gate === undefined ? [] : await compareGate(gate, own, searches)) context.warn(words);
  // The gate asks for the inverted index, too.
  if (gate !== undefined) for (const search of searches) await search.idfsOf(['warm']);
  const expander = opened.add(
    createExpander({
      ...{ encoder: own, generator, student, prompt, sampling: samplingOf(given), samples, seed, budgetMs, mostTexts },
      ...{ alpha: weight, expansionRole: role, ...(!given.rules && { rule: false as const }) },
      // Which of several indexes a query is for, only a search says.
      ...(upstream !== undefined && { encoderCalls: UPSTREAM_CALLS }),
      ...{ gate, ...(indexes.length === 1 && { firstPass: () => indexes[0]!.firstPass }) },
    }),
  );
  await warm(own, student, generator, given);
  task.advance();
  task.done();
  return { expander, indexes: byName(indexes) };
}

/** What would have no effect, or make every query go without an expansion, is refused. @throws UsageError */
function refuseIdle({ samples, mostTexts, expand, generator, gate }: ServiceOptions): void {
  if (samples > mostTexts) {
    throw new UsageError(`--samples ${samples} is more than --most-texts ${mostTexts}: no query would be expanded`, {
      fix: 'Raise --most-texts, or lower --samples.',
    });
  }
  const isChosen = `${generator}` !== `${generatorOptions.generator.parse(undefined)}`;
  const idle = isChosen ? '--generator' : gate === undefined ? undefined : '--gate';
  if (expand || idle === undefined) return;
  throw new UsageError(`${idle} has no effect with --no-expand`, { fix: 'Omit one of the two.' });
}

function settingsOf({ upstream, upstreamModel, ...given }: ServiceOptions) {
  const { queryPrefix, documentPrefix, precision, pooling, maxLength, similarity, alpha, offline, threads, passages } =
    given;
  if (upstream === undefined && upstreamModel !== undefined) {
    throw new UsageError('--upstream-model needs --upstream', { fix: 'Add --upstream URL, or omit it.' });
  }
  if (upstream !== undefined && upstreamModel === undefined) {
    throw new UsageError('--upstream needs the name of the model there', {
      fix: 'Add --upstream-model NAME, as the server lists it under /models.',
    });
  }
  if (upstream === undefined && isServerAddress(given.encoder)) {
    throw new UsageError(`--encoder ${given.encoder} is a server`, {
      fix: 'Pass it as --upstream URL, with --upstream-model NAME.',
    });
  }
  return defaultRetrievalSettings({
    ...(upstream === undefined ? { encoder: given.encoder } : { encoder: upstream, encoderModel: upstreamModel }),
    ...{ queryPrefix, documentPrefix, precision, pooling, maxLength, similarity, alpha, offline, threads, passages },
  });
}

async function openStudent(name: string, store: ModelStore, own: Encoder): Promise<Encoder> {
  const student = await loadEncoder(await store.resolve(name, { kind: 'encoder' }), {});
  if (student.dimensions === own.dimensions) return student;
  await student.close();
  throw new UsageError(`the student has ${student.dimensions} dimensions, the encoder ${own.dimensions}`, {
    fix: 'Pass the encoder that the student was made from.',
  });
}

/** The first text and the first vector load the models. */
async function warm(
  own: Encoder,
  student: Encoder | undefined,
  generator: Generator | undefined,
  given: ServiceOptions,
) {
  await Promise.all([own.encode(['warm'], 'query'), student?.encode(['warm'], 'query')]);
  if (generator?.isExclusive !== true) return;
  const sampling = { ...samplingOf(given), maxTokens: 1 };
  const request = { id: 'warm', messages: [{ role: 'user' as const, content: 'Hello' }], sampling, seed: 1 };
  for await (const _text of generator.generate([request])) break;
}
