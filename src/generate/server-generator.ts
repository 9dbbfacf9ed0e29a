import { setMaxListeners } from 'node:events';
import { z } from 'zod';
import { isNothingThere, judgeFailure, type Server, ServerPool, type Verdict } from '../servers/index.ts';
import { AbortedError, canonicalJson, contentKey, NetworkError, UsageError } from '../system/index.ts';
import { FinishedQueue } from './finished-queue.ts';
import type { ChatMessage, Generation, GenerationRequest, Generator } from './generator.ts';
import { RequestFeed } from './request-feed.ts';

export interface ServerOptions {
  /** OpenAI-compatible servers of the same model; `/v1` is added to an address without a path. */
  baseUrls: readonly string[];
  /** Default: the only model that the first server lists. */
  model?: string | undefined;
  /** Default: OPENAI_API_KEY; local servers usually want none. */
  apiKey?: string | undefined;
  /** Calls under way at once, over all servers. Default 16. */
  concurrency?: number | undefined;
  /** For one attempt. Default 300. */
  timeoutSeconds?: number | undefined;
  /** Further attempts after the first. Default 5; two while nothing was ever found at any of the addresses. */
  retries?: number | undefined;
  /** More fields for the body of every call, such as vLLM's `chat_template_kwargs`. They are part of the fingerprint. */
  extraBody?: Readonly<Record<string, unknown>> | undefined;
  /**
   * Whether samples of one prompt are asked for in one call (`n`). Quicker where the server computes the prompt once; the
   * call has one seed, so single samples cannot be repeated. Default false.
   */
  useN?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

interface Settings {
  model: string;
  concurrency: number;
  retries: number;
  extraBody: Readonly<Record<string, unknown>>;
  useN: boolean;
}

/** First pause after a failure, in seconds; it doubles from attempt to attempt up to {@link LONGEST_PAUSE}. */
const FIRST_PAUSE = 0.5;
const LONGEST_PAUSE = 30;

/** Further attempts while nothing was ever found at any address: that is a wrong address rather than a server that died. */
const RETRIES_UNANSWERED = 2;

/** A server does not say by how much a prompt is too long: its document loses a quarter each time, down to a hundredth. */
const CUT = 0.75;
const LEAST_SHARE = 0.01;

const SINGLES_WITHOUT_N = 3;

const answerSchema = z.object({
  choices: z
    .array(
      z.object({
        index: z.number().int().nonnegative().optional(),
        message: z.object({ content: z.string().nullish() }),
        finish_reason: z.string().nullish(),
      }),
    )
    .min(1),
  usage: z.object({ prompt_tokens: z.number().nonnegative(), completion_tokens: z.number().nonnegative() }).nullish(),
});
type Answer = z.output<typeof answerSchema>;

/**
 * Connects to one or more OpenAI-compatible servers (vLLM, llama-server, Ollama, OpenAI).
 *
 * The published sampler order is vLLM's own; llama-server is told it (`samplers`), and its other filters are switched
 * off. The fingerprint is made of the model's name and `extraBody`, not of addresses, so that work goes on when
 * a server moves.
 *
 * @throws UsageError when no model is named and the server lists none or several; NetworkError
 */
export async function connectGenerator(options: ServerOptions): Promise<Generator> {
  const pool = new ServerPool({
    baseUrls: options.baseUrls,
    apiKey: options.apiKey ?? (process.env.OPENAI_API_KEY || 'none'),
    timeoutSeconds: options.timeoutSeconds ?? 300,
  });
  const model = options.model ?? (await onlyModel(pool.servers[0]!, options.signal));
  const { concurrency = 16, retries = 5, extraBody = {}, useN = false } = options;
  return new ServerGenerator(pool, { model, concurrency, retries, extraBody, useN });
}

async function onlyModel(server: Server, signal: AbortSignal | undefined): Promise<string> {
  const names: string[] = [];
  try {
    for await (const { id } of server.client.models.list(signal && { signal })) names.push(id);
  } catch (error) {
    if (signal?.aborted) throw new AbortedError();
    const verdict = judgeFailure(error, { server, dialect: server, model: '', id: undefined, topK: 0, texts: 1 });
    throw verdict.kind === 'adapt' ? error : verdict.error;
  }
  if (names.length === 1) return names[0]!;
  throw new UsageError(`${server.baseUrl} serves ${names.length === 0 ? 'no model' : `${names.length} models`}`, {
    fix: names.length === 0 ? 'Load a model there first.' : `Name one with --model: ${names.slice(0, 20).join(', ')}.`,
  });
}

/** Requests that go out as one call: the same messages and sampling settings. */
type RequestGroup = [GenerationRequest, ...GenerationRequest[]];

/** A model on servers; see {@link connectGenerator}. */
class ServerGenerator implements Generator {
  readonly id: string;
  readonly fingerprint: string;
  readonly #pool: ServerPool;
  readonly #settings: Settings;
  /** Whether a request of this run failed for good. */
  #gaveUp = false;

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
    this.#gaveUp = false;
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
    // Calls under way when one failed for good are paid for: their texts are handed over first.
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
        // A server may give fewer choices than were asked for.
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

  /** Asks until there is an answer, here or there. */
  async #complete(group: RequestGroup, signal: AbortSignal): Promise<Generation[]> {
    const { cuttable } = group[0];
    let share = 1;
    // A document that is cut, and what a server turns out not to know, are no failures: they take nothing from the retries.
    for (let failures = 0; ; ) {
      const outcome = await this.#pool.run(
        (server) => this.#attempt(server, { group, share, failures }, signal),
        signal,
      );
      if ('generations' in outcome) return outcome.generations;
      if (outcome.kind === 'tooLong') {
        if (cuttable === undefined || share < LEAST_SHARE) throw outcome.error;
        share *= CUT;
      }
      if (outcome.kind !== 'again') continue;
      if (failures++ >= this.#retries()) {
        this.#gaveUp = true;
        throw outcome.error;
      }
    }
  }

  /** Asks one server once; a failure that is not final comes back with what it means. */
  async #attempt(
    server: Server,
    { group, share, failures }: { group: RequestGroup; share: number; failures: number },
    signal: AbortSignal,
  ): Promise<{ generations: Generation[] } | Exclude<Verdict, { kind: 'final' }>> {
    const { id, sampling } = group[0];
    const { takesExtras, takesN, limitName } = server;
    try {
      const generations = await this.#call(server, group, share, signal);
      server.contact = 'answered';
      return { generations };
    } catch (error) {
      if (signal.aborted) throw new AbortedError();
      if (!isNothingThere(error)) server.contact = 'answered';
      server.contact ??= 'none';
      const dialect = { takesExtras, takesN, limitName };
      const asked = { model: this.id, id, topK: sampling.topK, texts: group.length };
      const verdict = judgeFailure(error, { server, dialect, ...asked });
      if (verdict.kind === 'final') throw verdict.error;
      if (verdict.kind === 'again') {
        const growth = this.#pool.deserted ? 1 : 2 ** failures;
        const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * growth) * (0.75 + Math.random() / 2);
        this.#pool.rest(server, verdict.afterSeconds ?? pause);
      }
      return verdict;
    }
  }

  #retries(): number {
    if (!this.#pool.deserted) return this.#settings.retries;
    return this.#gaveUp ? 0 : Math.min(RETRIES_UNANSWERED, this.#settings.retries);
  }

  /** @param share of the request's cuttable part that is sent */
  async #call(server: Server, group: RequestGroup, share: number, signal: AbortSignal): Promise<Generation[]> {
    const startedAt = performance.now();
    const [{ messages, cuttable }] = group;
    const sent = share < 1 && cuttable ? cuttable.messagesWith(beginning(cuttable.text, share)) : messages;
    const parsed = answerSchema.safeParse(await post(server, this.#body(server, group, sent), signal));
    if (parsed.success) {
      learnAboutN(server, group.length, parsed.data.choices.length);
      const generations = readAnswer(parsed.data, group, performance.now() - startedAt);
      return share < 1 ? generations.map((generation) => ({ ...generation, promptCut: true })) : generations;
    }
    throw new NetworkError(`${server.baseUrl} answered something that is no chat completion`, {
      id: group[0].id,
      fix: 'Check the address: it names an OpenAI-compatible server and usually ends in /v1.',
      cause: parsed.error,
    });
  }

  #body(server: Server, group: RequestGroup, messages: ChatMessage[]): Record<string, unknown> {
    const { sampling, seed } = group[0];
    return {
      model: this.id,
      messages,
      temperature: sampling.temperature,
      top_p: sampling.topP,
      seed,
      [server.limitName]: sampling.maxTokens,
      ...(group.length > 1 && server.takesN && { n: group.length }),
      ...(server.takesExtras && { top_k: sampling.topK, min_p: 0, samplers: ['temperature', 'top_k', 'top_p'] }),
      ...this.#settings.extraBody,
    };
  }

  async close(): Promise<void> {}
}

/** The client never takes its listener off a signal again, so each call has a signal of its own. */
async function post(server: Server, body: Record<string, unknown>, stop: AbortSignal): Promise<unknown> {
  const own = new AbortController();
  const onStop = (): void => own.abort();
  stop.addEventListener('abort', onStop, { once: true });
  try {
    return await server.client.post('/chat/completions', { body, signal: own.signal });
  } finally {
    stop.removeEventListener('abort', onStop);
  }
}

/** Puts neighbours that differ in their seed alone together, where calls may have several samples. */
async function* groupRequests(feed: RequestFeed, useN: () => boolean): AsyncGenerator<RequestGroup> {
  let next = await feed.take(true);
  while (next !== undefined) {
    const group: RequestGroup = [next];
    const kind = canonicalJson([next.messages, next.sampling]);
    next = undefined;
    while (useN() && !feed.ended) {
      const candidate = await feed.take(false);
      if (candidate !== undefined && canonicalJson([candidate.messages, candidate.sampling]) === kind) {
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

/** A server that does not know `n` says nothing and gives one text. */
function learnAboutN(server: Server, wanted: number, got: number): void {
  if (wanted === 1) return;
  server.singles = got === 1 ? server.singles + 1 : 0;
  if (server.singles >= SINGLES_WITHOUT_N) server.takesN = false;
}

/** The first part of a text, by share; no character is cut in two. */
function beginning(text: string, share: number): string {
  return text.slice(0, Math.floor(text.length * share)).replace(/[\uD800-\uDBFF]$/, '');
}

/** Tokens of a call with several choices are shared out among them. */
function readAnswer({ choices, usage }: Answer, group: RequestGroup, milliseconds: number): Generation[] {
  const inOrder = [...choices].sort((a, b) => (a.index ?? 0) - (b.index ?? 0)).slice(0, group.length);
  const written = usage?.completion_tokens ?? 0;
  return inOrder.map(({ message, finish_reason }, index) => ({
    id: group[index]!.id,
    text: message.content ?? '',
    finish: finish_reason === 'length' ? 'length' : 'stop',
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens:
      Math.floor(((index + 1) * written) / inOrder.length) - Math.floor((index * written) / inOrder.length),
    milliseconds,
  }));
}
