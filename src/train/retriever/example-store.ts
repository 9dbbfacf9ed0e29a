import type { ExampleDocument, RetrieverExample } from './retriever-example.ts';

/** Tokens of a text, and its number among the texts of its role in the order of the rows. */
export interface NumberedTokens {
  tokens: Int32Array;
  number: number;
}

/** What of a row is stored. */
export interface ExampleInput extends Pick<RetrieverExample, 'id' | 'queryKey' | 'scores'> {
  query: NumberedTokens | undefined;
  expansions: readonly NumberedTokens[];
  joined: NumberedTokens | undefined;
  positives: readonly (NumberedTokens & Pick<ExampleDocument, 'key' | 'id'>)[];
  negatives: readonly (NumberedTokens & Pick<ExampleDocument, 'key' | 'id'>)[];
}

/**
 * Holds examples with their tokens in few large arrays, at two bytes per token for vocabularies of up to 65,536 entries: an array of its own
 * for each text would cost some hundred bytes more. An example creates the arrays of its texts when they are asked for.
 */
export class ExampleStore {
  readonly #pool: TokenPool;
  readonly examples: StoredExample[] = [];

  /** @param vocabulary number of tokens */
  constructor(vocabulary: number) {
    this.#pool = new TokenPool(vocabulary);
  }

  add(example: ExampleInput): void {
    const put = (text: NumberedTokens) => this.#pool.add(text);
    const document = ({ key, id, ...text }: ExampleInput['positives'][number]) => {
      return new StoredDocument(this.#pool, put(text), key, id);
    };
    const { id, queryKey, query, joined, expansions, positives, negatives, scores } = example;
    const texts = {
      query: query && put(query),
      joined: joined && put(joined),
      expansions: expansions.map(put),
    };
    this.examples.push(
      new StoredExample(this.#pool, { id, queryKey }, texts, {
        ...{ positives: positives.map(document), negatives: negatives.map(document), scores },
      }),
    );
  }
}

/** Tokens per array. No text is longer. */
const CHUNK = 1 << 20;

class TokenPool {
  readonly #chunks: (Uint16Array | Uint32Array)[] = [];
  readonly #isNarrow: boolean;
  #free = 0;
  /** By text: where it begins, its length, its number. */
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];
  readonly #numbers: number[] = [];

  constructor(vocabulary: number) {
    this.#isNarrow = vocabulary <= 1 << 16;
  }

  /** @returns the place of the text */
  add({ tokens, number }: NumberedTokens): number {
    if (tokens.length > this.#free) {
      this.#chunks.push(this.#isNarrow ? new Uint16Array(CHUNK) : new Uint32Array(CHUNK));
      this.#free = CHUNK;
    }
    const at = CHUNK - this.#free;
    this.#chunks.at(-1)!.set(tokens, at);
    this.#free -= tokens.length;
    this.#starts.push((this.#chunks.length - 1) * CHUNK + at);
    this.#lengths.push(tokens.length);
    return this.#numbers.push(number) - 1;
  }

  tokens(text: number): Int32Array {
    const start = this.#starts[text]!;
    const at = start % CHUNK;
    return Int32Array.from(this.#chunks[Math.floor(start / CHUNK)]!.subarray(at, at + this.#lengths[text]!));
  }

  number(text: number): number {
    return this.#numbers[text]!;
  }
}

class StoredDocument implements ExampleDocument {
  readonly #pool: TokenPool;
  readonly #text: number;
  readonly key: string;
  readonly id: string | undefined;

  constructor(pool: TokenPool, text: number, key: string, id: string | undefined) {
    [this.#pool, this.#text, this.key, this.id] = [pool, text, key, id];
  }

  get tokens(): Int32Array {
    return this.#pool.tokens(this.#text);
  }

  get number(): number {
    return this.#pool.number(this.#text);
  }

  toJSON() {
    const { key, id, tokens } = this;
    return { key, ...(id !== undefined && { id }), tokens };
  }
}

interface StoredTexts {
  query: number | undefined;
  joined: number | undefined;
  expansions: readonly number[];
}

type StoredSides = Pick<RetrieverExample, 'positives' | 'negatives' | 'scores'>;

/** An example whose tokens are in a store. */
export class StoredExample implements RetrieverExample {
  readonly #pool: TokenPool;
  readonly #texts: StoredTexts;
  readonly id: string;
  readonly queryKey: string;
  readonly positives: readonly ExampleDocument[];
  negatives: readonly ExampleDocument[];
  scores: RetrieverExample['scores'];
  judged: readonly string[] = [];

  constructor(
    pool: TokenPool,
    { id, queryKey }: Pick<RetrieverExample, 'id' | 'queryKey'>,
    texts: StoredTexts,
    { positives, negatives, scores }: StoredSides,
  ) {
    [this.#pool, this.#texts, this.id, this.queryKey] = [pool, texts, id, queryKey];
    [this.positives, this.negatives, this.scores] = [positives, negatives, scores];
  }

  get query(): Int32Array | undefined {
    const { query } = this.#texts;
    return query === undefined ? undefined : this.#pool.tokens(query);
  }

  get joined(): Int32Array | undefined {
    const { joined } = this.#texts;
    return joined === undefined ? undefined : this.#pool.tokens(joined);
  }

  get expansions(): Int32Array[] {
    return this.#texts.expansions.map((text) => this.#pool.tokens(text));
  }

  get numbers(): NonNullable<RetrieverExample['numbers']> {
    const { query, joined, expansions } = this.#texts;
    const of = (text: number | undefined) => (text === undefined ? -1 : this.#pool.number(text));
    return { query: of(query), joined: of(joined), expansions: expansions.map(of) };
  }

  /** What decides the training: everything but the numbers. */
  toJSON(): RetrieverExample {
    const { id, queryKey, query, expansions, joined, judged, positives, negatives, scores } = this;
    return { id, queryKey, query, expansions, joined, judged, positives, negatives, scores };
  }
}
