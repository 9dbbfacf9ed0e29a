import type { Encoder } from '../embed/index.ts';
import {
  type BeforeDecision,
  type BeforeFeatures,
  type Features,
  type Gate,
  readAfter,
  readBefore,
  vectorFeatures,
  writtenFeatures,
} from '../gate/index.ts';
import type { CorpusSearch } from '../retrieve/index.ts';
import { isAbort, UsageError } from '../system/index.ts';
import { inSpan } from './spans.ts';

/** The vectors of a query and its texts: // [dimensions] and // [texts, dimensions] */
export interface QueryVectors {
  own: Float32Array;
  expansions: Float32Array;
}

export interface GatedQueryOptions {
  /** The search whose hits the gate reads. Without one, it knows texts and vectors alone. */
  firstPass?: CorpusSearch | undefined;
  signal?: AbortSignal | undefined;
  /** Receives what kept the features of hits from being read. The gate then decides without them. */
  onFailure?: ((error: unknown) => void) | undefined;
}

/** What a caller learns of a decision. */
interface ToldDecision {
  probability: number;
  reason: string;
  /** Time of both decisions, with their searches. */
  milliseconds: number;
}

/** The readers of features address queries by id. */
const ID = 'query';

/** One query on its way past a gate. */
export class GatedQuery {
  readonly before: BeforeDecision;
  readonly #gate: Gate;
  readonly #query: string;
  readonly #options: GatedQueryOptions;
  readonly #known: BeforeFeatures | undefined;
  /** Time that the decisions took so far. */
  #milliseconds: number;

  private constructor(
    gate: Gate,
    query: string,
    { started, known, ...options }: GatedQueryOptions & { started: number; known: BeforeFeatures | undefined },
  ) {
    [this.#gate, this.#query, this.#options, this.#known] = [gate, query, options, known];
    this.before = gate.before(query, known?.features.get(ID));
    this.#milliseconds = performance.now() - started;
  }

  /** The first decision, as it is told. */
  get toldBefore(): ToldDecision {
    const { probability, reason } = this.before;
    return { probability, reason, milliseconds: this.#milliseconds };
  }

  /** Decides whether to have texts written. @throws AbortedError after the signal, and nothing else */
  static async open(gate: Gate, query: string, options: GatedQueryOptions = {}): Promise<GatedQuery> {
    const { firstPass, signal } = options;
    const started = performance.now();
    const read = () => {
      const asked = [{ id: ID, text: query, expansions: [] }];
      return readBefore(firstPass!, gate.data.madeFor.retriever, asked, { dropSelf: false, signal });
    };
    return inSpan('gate', {}, async (span) => {
      const known = firstPass === undefined ? undefined : await orNothing(read, options);
      const gated = new GatedQuery(gate, query, { ...options, started, known });
      const { expand, probability } = gated.before;
      span.setAttributes({ 'llm_qe.gate.expand': expand, 'llm_qe.gate.probability': probability });
      return gated;
    });
  }

  /** Decides on the weight of texts once they are written. @throws AbortedError after the signal, and nothing else */
  async after(texts: readonly string[], { own, expansions }: QueryVectors): Promise<ToldDecision & { weight: number }> {
    const started = performance.now();
    const { firstPass, signal } = this.#options;
    const { probe, madeFor } = this.#gate.data;
    const [before, text] = [this.#known, this.#query];
    const read = async () => {
      const asked = [{ id: ID, text, expansions: texts }];
      const options = { before: before!, probe, dropSelf: false, signal };
      return (await readAfter(firstPass!, madeFor.retriever, asked, options)).get(ID);
    };
    const found = before === undefined ? undefined : await orNothing(read, this.#options);
    const written: Features = { ...writtenFeatures(text, texts), ...vectorFeatures(own, expansions) };
    const decision = this.#gate.after(text, found ?? { ...before?.features.get(ID), ...written });
    return { ...decision, milliseconds: this.#milliseconds + performance.now() - started };
  }
}

async function orNothing<T>(read: () => Promise<T>, { signal, onFailure }: GatedQueryOptions): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isAbort(error) || signal?.aborted) throw error;
    onFailure?.(error);
    return undefined;
  }
}

/**
 * Returns one sentence for each way in which a gate was trained for other searches than those that are served.
 * @param searches whose hits it reads; without any, the encoder alone is compared
 * @throws UsageError for a gate of another kind of search
 */
export async function compareGate(gate: Gate, encoder: Encoder, searches: readonly CorpusSearch[]): Promise<string[]> {
  refuseOtherGate(gate);
  const retrievers = await Promise.all(searches.map((one) => one.plainRetriever('dense')));
  const { settings } = gate.data.madeFor;
  if (retrievers.length === 0 && settings['encoder key'] !== encoder.fingerprint) {
    return [`the gate was trained with another encoder (${settings.encoder}): its choices may be poor`];
  }
  return [...new Set(retrievers.flatMap((one) => gate.compareWith(one)))];
}

/** Served queries become vectors. @throws UsageError for a gate of another kind of search */
export function refuseOtherGate({ data: { madeFor } }: Gate): void {
  if (madeFor.retriever === 'dense') return;
  throw new UsageError(`the gate was trained for --retriever ${madeFor.retriever}, but queries are served as vectors`, {
    fix: 'Train a gate with `llm-qe gate train --retriever dense`.',
  });
}
