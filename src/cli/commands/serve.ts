import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { type Encoder, loadEncoder } from '../../embed/index.ts';
import { Gate } from '../../gate/index.ts';
import type { Generator } from '../../generate/index.ts';
import { ModelStore } from '../../models/index.ts';
import { defaultRetrievalSettings, openEncoder, rememberingEncoder, retrievalSettings } from '../../retrieve/index.ts';
import {
  byName,
  compareGate,
  createExpander,
  LOG_FORMATS,
  listen,
  RequestLog,
  ServedIndex,
} from '../../serve/index.ts';
import { serverAddressSchema } from '../../servers/index.ts';
import { checkSecret, inGroup, keepSecret, systemFault, UsageError } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { choosePrompt, generatorOptions, openGenerator, refuseDocuments, samplingOf } from '../open-generator.ts';

const { encoder, queryPrefix, documentPrefix, precision, pooling, maxLength, similarity, expansionRole } =
  retrievalSettings;

const options = z.object({
  host: z
    .string()
    .default('127.0.0.1')
    .describe('address to listen on; 0.0.0.0 lets other machines in (then use --api-key-file)')
    .meta({ valueName: 'ADDRESS' }),
  port: z.coerce.number().int().min(0).max(65_535).default(8090).describe('port to listen on; 0: any that is free'),
  apiKeyFile: z
    .string()
    .optional()
    .describe('file with the key that clients must send as `Authorization: Bearer KEY`')
    .meta({ valueName: 'FILE' }),
  index: z
    .array(z.string())
    .default([])
    .describe("corpus to search: a folder in BEIR's layout, or a JSONL file; named after the folder or file")
    .meta({ valueName: 'DIR|FILE' }),
  budgetMs: z.coerce
    .number()
    .int()
    .min(0)
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
  mostRequests: z.coerce.number().int().min(1).default(512).describe('requests at once; others get status 429'),
  cors: z
    .array(z.string().refine((origin) => origin === '*' || isOrigin(origin), 'is no origin like https://example.org'))
    .default([])
    .describe('origin whose pages may call the server from a browser, or * for all (default: none)')
    .meta({ valueName: 'ORIGIN' }),
  logFormat: z
    .enum(LOG_FORMATS)
    .default('json')
    .describe('one line on stdout for each request: id, route, status, milliseconds, expansion, tokens'),
  logTexts: z.boolean().default(false).describe('log queries and their expansions, too'),
  ...inGroup('Encoder:', {
    encoder,
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
});
type Options = z.output<typeof options>;

/** Vectors that the gate's searches have made already: those of some thousand texts. */
const REMEMBERED_BYTES = 4 * 2 ** 20;
const MOST_WARNINGS = 100;
/** A request that waits for a server is worth little when it is late: one more attempt, and none after a long wait. */
const [RETRIES, LONGEST_WAIT_SECONDS] = [1, 2];
/** Calls to an embedding server at once. */
const UPSTREAM_CALLS = 8;
/** Requests in flight have this long when the server is told to end. */
const DRAIN_MS = 10_000;

export const command = defineCommand({
  name: 'serve',
  summary: 'answer over HTTP: embeddings of expanded queries, search, expansions',
  description:
    'Speaks the API of OpenAI embeddings (/v1/embeddings), of Text Embeddings Inference (/embed) and of Weaviate (/vectors), and its own\n/search and /expand; /openapi.json describes them. A text is a document, and embedded as it is, unless the request says that it is a\nquery: input_type, prompt_name, task or task_type, a model name that ends in -query, or the base URL /query/v1. An LLM that is slow\nor fails never fails a request: what it has written counts, else the query is embedded as it is.',
  options,
  examples: [
    ['llm-qe serve --index docs.jsonl', 'search your own corpus, with the default models'],
    [
      'llm-qe serve --index docs.jsonl --gate gate.json',
      'a gate decides for each query whether, and how much, to expand',
    ],
    [
      'llm-qe serve --upstream http://localhost:8080 --upstream-model bge-small --generator http://localhost:8000',
      'in front of your own embedding server: keep your index, and let queries be expanded',
    ],
    [
      `curl -s http://127.0.0.1:8090/v1/embeddings -H 'content-type: application/json' -d '{"model": "any-query", "input": "how do I rotate a key"}'`,
      'a query, from the shell',
    ],
  ],
  graceMilliseconds: DRAIN_MS + 2000,
  async run(given, context) {
    const key = given.apiKeyFile === undefined ? undefined : await readKey(given.apiKeyFile);
    const opened = new Opened();
    const log = new RequestLog({ format: given.logFormat, texts: given.logTexts, stream: process.stdout });
    let service: Parameters<typeof listen>[0]['service'] = () => undefined;
    const listening = await listen({
      ...{ host: given.host, port: given.port, apiKey: key, mostRequests: given.mostRequests },
      ...{ service: () => service(), cors: given.cors, log, onError: warnOnce(context) },
    });
    try {
      const ready = await openService(given, context, opened);
      service = () => ready;
      process.stderr.write(`listening on ${listening.url}\n`);
      await fired(context.signal);
      process.stderr.write('stopping: requests in flight are answered first\n');
      service = () => undefined;
    } finally {
      await listening.close(DRAIN_MS);
      await opened.close();
    }
  },
});

/** Each kind of error once: a server that is down fails every request. */
function warnOnce({ warn }: CommandContext): (error: unknown) => void {
  const told = new Set<string>();
  return (error) => {
    const words = error instanceof Error ? error.message : String(error);
    if (told.has(words) || told.size >= MOST_WARNINGS) return;
    told.add(words);
    warn(words);
  };
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

/** What has to be closed, in the order of its opening. */
class Opened {
  readonly #all: { close(): unknown }[] = [];

  add<T extends { close(): unknown }>(one: T): T {
    this.#all.push(one);
    return one;
  }

  async close(): Promise<void> {
    for (const one of this.#all.reverse()) await one.close();
  }
}

async function openService(given: Options, context: CommandContext, opened: Opened) {
  const { signal, progress } = context;
  const task = progress.task('opening models and indexes', 2 + given.index.length, 'parts');
  const settings = settingsOf(given);
  const store = new ModelStore({ offline: given.offline, progress });
  const gate = given.gate === undefined ? undefined : await Gate.open(given.gate);
  const { upstream, upstreamTimeout: timeoutSeconds, maxWait: maxWaitSeconds = LONGEST_WAIT_SECONDS } = given;
  const limits = upstream === undefined ? {} : { retries: RETRIES, timeoutSeconds, maxWaitSeconds };
  const encoder = opened.add(await openEncoder(settings, store, signal, progress, undefined, limits));
  // The gate's searches need the vectors that are served afterwards.
  const own = gate === undefined ? encoder : rememberingEncoder(encoder, REMEMBERED_BYTES);
  task.advance();
  const student = given.student === undefined ? undefined : opened.add(await openStudent(given.student, store, own));
  const patience = { retries: RETRIES };
  const asked = { ...given, maxWait: maxWaitSeconds };
  const generator = given.expand ? opened.add(await openGenerator(asked, context, patience)) : undefined;
  const prompt = await choosePrompt(given);
  refuseDocuments(prompt, '`llm-qe serve`');
  const { samples, seed, budgetMs, mostTexts, alpha: weight, expansionRole: role } = given;
  const indexes: ServedIndex[] = [];
  // A corpus is embedded with patience.
  const patient =
    given.index.length === 0 || upstream === undefined ? own : await openEncoder(settings, store, signal, progress);
  if (patient !== own) opened.add(patient);
  for (const path of given.index) {
    indexes.push(opened.add(await ServedIndex.open(path, patient, settings, { signal, progress })));
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
      ...{ gate, ...(searches.length === 1 && { firstPass: searches[0] }) },
    }),
  );
  await warm(own, student, generator, given);
  task.advance();
  task.done();
  return { expander, indexes: byName(indexes) };
}

function settingsOf({ upstream, upstreamModel, ...given }: Options) {
  const { queryPrefix, documentPrefix, precision, pooling, maxLength, similarity, alpha, offline, threads } = given;
  if (upstream === undefined && upstreamModel !== undefined) {
    throw new UsageError('--upstream-model needs --upstream', { fix: 'Add --upstream URL, or omit it.' });
  }
  return defaultRetrievalSettings({
    ...(upstream === undefined ? { encoder: given.encoder } : { encoder: upstream, encoderModel: upstreamModel }),
    ...{ queryPrefix, documentPrefix, precision, pooling, maxLength, similarity, alpha, offline, threads },
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
async function warm(own: Encoder, student: Encoder | undefined, generator: Generator | undefined, given: Options) {
  await Promise.all([own.encode(['warm'], 'query'), student?.encode(['warm'], 'query')]);
  if (generator?.isExclusive !== true) return;
  const sampling = { ...samplingOf(given), maxTokens: 1 };
  const request = { id: 'warm', messages: [{ role: 'user' as const, content: 'Hello' }], sampling, seed: 1 };
  for await (const _text of generator.generate([request])) break;
}

async function readKey(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw systemFault(error, file);
  });
  const key = text.trim();
  if (key === '') throw new UsageError('holds no key', { file, fix: 'Write the key into the file.' });
  keepSecret(key);
  return checkSecret(key, `the key in ${file}`)!;
}

function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
