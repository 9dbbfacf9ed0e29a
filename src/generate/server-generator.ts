import { setMaxListeners } from 'node:events';
import { type ChatAnswer, readChatAnswer, type Server, ServerPool, type Unfit } from '../servers/index.ts';
import { AbortedError, canonicalJson, contentKey, type Progress, UsageError } from '../system/index.ts';
import { FinishedQueue } from './finished-queue.ts';
import type { ChatMessage, Generation, GenerationRequest, Generator } from './generator.ts';
import { RequestFeed } from './request-feed.ts';

export interface ServerOptions {
  /**
   * OpenAI-compatible servers of the same model. `/v1` is added to an address without a path. `user:password@` and keys in the query
   * string are sent, but neither shown nor stored.
   */
  baseUrls: readonly string[];
  /** Default: the only model that the first server lists. */
  model?: string | undefined;
  /** Default: OPENAI_API_KEY. Local servers usually need no key. */
  apiKey?: string | undefined;
  /** Maximum number of calls in progress, over all servers. Default 16. */
  concurrency?: number | undefined;
  /** Time limit for one call, up to the last byte of its answer. Default 300. */
  timeoutSeconds?: number | undefined;
  /** Number of retries. Default 5; two if no server has ever answered at any of the addresses. */
  retries?: number | undefined;
  /** Maximum wait that a server may request with `Retry-After`. If it requests more, its error ends the work. Default 120. */
  maxWaitSeconds?: number | undefined;
  /** Extra fields in the body of every call, such as vLLM's `chat_template_kwargs`. They are part of the fingerprint. */
  extraBody?: Readonly<Record<string, unknown>> | undefined;
  /**
   * Whether all samples of a prompt are requested in one call (`n`). This is faster if the server then computes the prompt only once.
   * Such a call has one seed, so single samples cannot be reproduced. Default false.
   */
  useN?: boolean | undefined;
  /** Whether generations hold the mean log-probability of their tokens, where the server gives it (`logprobs`). Default false. */
  logProbabilities?: boolean | undefined;
  /** Shows waits, and reports the settings that a server does not support. */
  progress?: Progress | undefined;
  signal?: AbortSignal | undefined;
}

interface Settings {
  model: string;
  concurrency: number;
  extraBody: Readonly<Record<string, unknown>>;
  useN: boolean;
  logProbabilities: boolean;
}

/** A server does not report by how much a prompt is too long, so each attempt cuts a quarter of the document, down to a hundredth of it. */
const CUT = 0.75;
const LEAST_SHARE = 0.01;

/** The generation for a prompt that does not fit and cannot be cut further, or that the server's content filter refuses. */
const NOTHING_WRITTEN = {
  ...{ text: '', finish: 'stop', promptTokens: 0, completionTokens: 0, milliseconds: 0 },
} as const satisfies Omit<Generation, 'id'>;

const SINGLES_WITHOUT_N = 3;

/**
 * Connects to one or more OpenAI-compatible servers (vLLM, llama-server, Ollama, OpenAI).
 *
 * The published sampler order is vLLM's default. llama-server receives it in `samplers`, and its other filters are switched off.
 * The fingerprint covers the model's name and `extraBody`, but not the addresses: work can continue after a server moves.
 *
 * @throws UsageError if no model is named and the server lists none or several; NetworkError
 */
export async function connectGenerator(options: ServerOptions): Promise<Generator> {
  const {
    baseUrls,
    apiKey,
    concurrency = 16,
    extraBody = {},
    useN = false,
    logProbabilities = false,
    progress,
    signal,
  } = options;
  const { timeoutSeconds = 300, retries = 5, maxWaitSeconds } = options;
  const limits = { timeoutSeconds, retries, maxWaitSeconds };
  const pool = new ServerPool({ baseUrls, apiKey, ...limits, progress, model: options.model ?? '' });
  pool.model = options.model ?? (await onlyModel(pool, signal));
  return new ServerGenerator(pool, { model: pool.model, concurrency, extraBody, useN, logProbabilities });
}

async function onlyModel(pool: ServerPool, signal: AbortSignal | undefined): Promise<string> {
  const only = pool.servers[0]!;
  const names = await modelsOf(pool, only, signal);
  if (names.length === 1) return names[0]!;
  throw new UsageError(`${only.shown} serves ${names.length === 0 ? 'no model' : `${names.length} models`}`, {
    fix:
      names.length === 0
        ? "Load a model on the server, or pass the model's name on the server with --model."
        : `Choose one with --model: ${names.slice(0, 20).join(', ')}.`,
  });
}

/** Returns the names of the models that servers list, by address. @throws NetworkError, UsageError */
export async function servedModels({
  baseUrls,
  apiKey,
  signal,
}: Pick<ServerOptions, 'baseUrls' | 'apiKey' | 'signal'>): Promise<Map<string, string[]>> {
  const pool = new ServerPool({ baseUrls, apiKey, timeoutSeconds: 300, retries: 5, model: '' });
  const served = new Map<string, string[]>();
  for (const server of pool.servers) served.set(server.shown, await modelsOf(pool, server, signal));
  return served;
}

async function modelsOf(pool: ServerPool, only: Server, signal: AbortSignal | undefined): Promise<string[]> {
  const outcome = await pool.ask({
    call: ({ client }) => client.get('/models', signal),
    body: () => ({}),
    ...{ only, signal },
  });
  const listed = 'answer' in outcome ? (outcome.answer as { data?: unknown } | null)?.data : undefined;
  const ids = (Array.isArray(listed) ? listed : []).map((one: { id?: unknown } | null) => one?.id);
  return ids.filter((id): id is string => typeof id === 'string');
}

/** Requests that are sent as one call: they have the same messages and sampling settings. */
type RequestGroup = [GenerationRequest, ...GenerationRequest[]];

/** A model on servers. See {@link connectGenerator}. */
class ServerGenerator implements Generator {
  readonly id: string;
  readonly fingerprint: string;
  readonly #pool: ServerPool;
  readonly #settings: Settings;
  readonly #told = new Set<Unfit['kind']>();

  constructor(pool: ServerPool, settings: Settings) {
    this.id = settings.model;
    this.fingerprint = contentKey({ runtime: 'server', model: settings.model, extraBody: settings.extraBody });
    this.#pool = pool;
    this.#settings = settings;
  }

  async *generate(
    requests: Iterable<GenerationRequest> | AsyncIterable<GenerationRequest>,
    signal?: AbortSignal,
  ): AsyncGenerator<Generation> {
    this.#pool.begin();
    const feed = new RequestFeed(requests);
    const groups = groupRequests(feed, () => this.#settings.useN && this.#pool.servers.some(({ takesN }) => takesN));
    const finished = new FinishedQueue<Generation>();
    const stop = new AbortController();
    setMaxListeners(0, stop.signal);
    const onAbort = (): void => {
      stop.abort();
      finished.fail(new AbortedError());
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    const workers = Array.from({ length: this.#settings.concurrency }, () =>
      this.#work(groups, feed, finished, stop.signal),
    );
    // The calls in progress when one fails are paid for, so their texts are returned before the error.
    void Promise.allSettled(workers).then((outcomes) => {
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed === undefined) finished.end();
      else finished.fail(failed.reason);
    });
    try {
      yield* finished;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      stop.abort();
      await feed.close();
    }
  }

  async #work(
    groups: AsyncIterator<RequestGroup>,
    feed: RequestFeed,
    finished: FinishedQueue<Generation>,
    stop: AbortSignal,
  ): Promise<void> {
    try {
      while (!stop.aborted) {
        const { value, done } = await groups.next();
        if (done) return;
        let open: GenerationRequest[] = value;
        // A server may return fewer choices than requested.
        for (let [first, ...others] = open; first !== undefined; [first, ...others] = open) {
          const generations = await this.#complete([first, ...others], stop);
          for (const generation of generations) finished.push(generation);
          open = open.slice(generations.length);
        }
      }
    } catch (error) {
      await feed.close();
      throw error;
    }
  }

  /** Calls until there is an answer, or until `until` of the request fires. */
  async #complete(group: RequestGroup, stop: AbortSignal): Promise<Generation[]> {
    const [{ id, until, onText }] = group;
    if (until === undefined && onText === undefined) return this.#call(group, stop);
    const startedAt = performance.now();
    let text = '';
    const onTexts = ([first = '']: string[]): void => {
      if (first === text) return;
      text = first;
      onText?.(text);
    };
    try {
      return await this.#call(group, until === undefined ? stop : AbortSignal.any([stop, until]), onTexts);
    } catch (error) {
      if (stop.aborted || !until?.aborted) throw error;
      const milliseconds = performance.now() - startedAt;
      return [{ id, ...NOTHING_WRITTEN, text, finish: 'length', milliseconds, stopped: true }];
    }
  }

  /** Calls until there is an answer, and cuts the end of a document that does not fit. */
  async #call(group: RequestGroup, signal: AbortSignal, onTexts?: (texts: string[]) => void): Promise<Generation[]> {
    const [{ id, messages, cuttable }] = group;
    for (let share = 1; ; share *= CUT) {
      const sent = share < 1 && cuttable ? cuttable.messagesWith(beginning(cuttable.text, share)) : messages;
      const startedAt = performance.now();
      const outcome = await this.#pool.ask({
        body: (server) => this.#body(server, group, sent),
        call: async (server, body) => {
          const answer = await server.client.post('/chat/completions', body, signal, readChatAnswer, onTexts);
          if ('n' in body) learnAboutN(server, answer.choices.length);
          return answer;
        },
        ...{ id, signal },
      });
      if ('answer' in outcome) {
        const generations = asGenerations(outcome.answer, group, performance.now() - startedAt);
        return share < 1 ? generations.map((generation) => ({ ...generation, promptCut: true })) : generations;
      }
      const isFiltered = outcome.kind === 'filtered';
      if (isFiltered || cuttable === undefined || share < LEAST_SHARE) {
        this.#tellOnce(outcome);
        const reason = isFiltered ? { filtered: true } : { promptTooLong: true };
        return group.map((request) => ({ id: request.id, ...NOTHING_WRITTEN, ...reason }));
      }
    }
  }

  /** Quotes the server once; the texts that it did not write are counted by whoever asked for them. */
  #tellOnce({ kind, error }: Unfit): void {
    if (!this.#told.has(kind)) this.#pool.tell(error.message);
    this.#told.add(kind);
  }

  #body(server: Server, group: RequestGroup, messages: ChatMessage[]): Record<string, unknown> {
    const { sampling, seed } = group[0];
    const grows = isFollowed(group[0]);
    const settings = {
      temperature: sampling.temperature,
      top_p: sampling.topP,
      seed,
      ...{ top_k: sampling.topK, min_p: 0, samplers: ['temperature', 'top_k', 'top_p'] },
      ...(this.#settings.logProbabilities && { logprobs: true }),
    };
    return {
      model: this.id,
      messages,
      ...Object.fromEntries(Object.entries(settings).filter(([name]) => !server.leftOut.has(name))),
      [server.limitName]: sampling.maxTokens,
      ...(group.length > 1 && server.takesN && { n: group.length }),
      ...((server.streams || grows) && { stream: true, stream_options: { include_usage: true } }),
      ...this.#settings.extraBody,
    };
  }

  async close(): Promise<void> {}
}

/** Groups neighbouring requests that differ only in their seed, if calls may have several samples. */
async function* groupRequests(feed: RequestFeed, useN: () => boolean): AsyncGenerator<RequestGroup> {
  let next = await feed.take(true);
  while (next !== undefined) {
    const group: RequestGroup = [next];
    const kind = canonicalJson([next.messages, next.sampling]);
    // A text that is followed as it grows is a call of its own.
    const isAlone = isFollowed(next);
    next = undefined;
    while (!isAlone && useN() && !feed.ended) {
      const candidate = await feed.take(false);
      if (
        candidate !== undefined &&
        !isFollowed(candidate) &&
        canonicalJson([candidate.messages, candidate.sampling]) === kind
      ) {
        group.push(candidate);
        continue;
      }
      next = candidate;
      break;
    }
    yield group;
    next ??= await feed.take(true);
  }
}

function isFollowed({ until, onText }: GenerationRequest): boolean {
  return until !== undefined || onText !== undefined;
}

/** A server that does not support `n` returns one text without an error. */
function learnAboutN(server: Server, got: number): void {
  server.singles = got === 1 ? server.singles + 1 : 0;
  if (server.singles >= SINGLES_WITHOUT_N) server.takesN = false;
}

/** Returns the first part of a text, as a fraction of its length. Surrogate pairs are not split. */
function beginning(text: string, share: number): string {
  return text.slice(0, Math.floor(text.length * share)).replace(/[\uD800-\uDBFF]$/, '');
}

/** A call reports only the sum of its tokens, so they are divided among its choices. */
function asGenerations(answer: ChatAnswer, group: RequestGroup, milliseconds: number): Generation[] {
  const { promptTokens, completionTokens } = answer;
  const choices = answer.choices.slice(0, group.length);
  const upTo = (count: number): number => Math.floor((count * completionTokens) / choices.length);
  return choices.map(({ text, reasoning, finish, filtered, logProbability }, index) => ({
    id: group[index]!.id,
    text,
    ...(reasoning !== '' && { reasoning }),
    finish,
    ...(filtered && { filtered }),
    ...(logProbability !== undefined && { logProbability }),
    promptTokens,
    completionTokens: upTo(index + 1) - upTo(index),
    milliseconds,
  }));
}
