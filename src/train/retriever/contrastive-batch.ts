import { deriveSeed, Random } from '../../system/index.ts';
import type { ExampleDocument, RetrieverExample } from './retriever-example.ts';
import type { QuerySide, RetrieverTrainingSettings } from './retriever-settings.ts';

/** One document of a batch, and what a teacher thinks of it as an answer to the query that brought it. */
export interface GroupDocument {
  column: number;
  score: number | undefined;
}

/** What of a batch goes through the encoder, and how its vectors are put together. */
export interface ContrastiveBatch {
  /** Texts of queries; equal ones once. */
  queryTexts: Int32Array[];
  /** Documents; equal ones once. */
  documents: ExampleDocument[];
  queries: BatchQuery[];
}

export interface BatchQuery {
  example: RetrieverExample;
  /** Rows of `queryTexts`, the weight of each, and its number among the texts of all rows. */
  texts: { row: number; weight: number; number: number | undefined }[];
  /** Column of the positive. */
  target: number;
  positiveScore: number | undefined;
  negatives: GroupDocument[];
}

type BatchSettings = Pick<RetrieverTrainingSettings, 'method' | 'querySide' | 'alpha' | 'groupSize'>;

/**
 * Chooses of each example the side of the query, one positive and `groupSize - 1` negatives, at random but seeded. An example that
 * has fewer negatives brings those that it has.
 * @param seed none: the first ones, for evaluations
 */
export function planContrastiveBatch(
  examples: readonly RetrieverExample[],
  settings: BatchSettings,
  seed: number | undefined,
): ContrastiveBatch {
  const queryTexts = new Numbered<Int32Array>();
  const documents = new Numbered<ExampleDocument>();
  const queries = examples.map((example): BatchQuery => {
    const random = seed === undefined ? undefined : new Random(deriveSeed(seed, 'example', example.id));
    const texts = textsOf(example, settings, random).map(({ tokens, ...text }) => {
      return { row: queryTexts.of(tokens.join(), tokens), ...text };
    });
    const at = random === undefined ? 0 : random.below(example.positives.length);
    const positive = example.positives[at]!;
    const order = example.negatives.map((_document, index) => index);
    const chosen = (random?.shuffle(order) ?? order).slice(0, settings.groupSize - 1);
    return {
      example,
      texts,
      target: documents.of(positive.key, positive),
      positiveScore: example.scores?.positives[at],
      negatives: chosen.map((index) => {
        const document = example.negatives[index]!;
        return { column: documents.of(document.key, document), score: example.scores?.negatives[index] };
      }),
    };
  });
  return { queryTexts: queryTexts.members, documents: documents.members, queries };
}

/** Members by the order in which they first came. */
class Numbered<T> {
  readonly members: T[] = [];
  readonly #numbers = new Map<string, number>();

  of(key: string, member: T): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.members.length);
    this.members.push(member);
    return this.members.length - 1;
  }
}

/** Which sides an example can be asked by. */
export function sidesOf({
  query,
  expansions,
  joined,
}: {
  query: unknown;
  expansions: readonly unknown[];
  joined: unknown;
}): QuerySide[] {
  return [
    ...(query === undefined ? [] : (['query'] as const)),
    ...(expansions.length === 0 ? [] : (['expansion'] as const)),
    ...(query === undefined || expansions.length === 0 ? [] : (['mean'] as const)),
    ...(joined === undefined ? [] : (['concat'] as const)),
  ];
}

/** The side that a method trains on: distil draws the query itself. */
export function sideOf({ method, querySide }: Pick<BatchSettings, 'method' | 'querySide'>): QuerySide {
  return method === 'distil' || method === 'ridge' ? 'query' : querySide;
}

/** Whether the side reads query and expansions as one text. */
export function wantsJoined(settings: Pick<BatchSettings, 'method' | 'querySide'>): boolean {
  const side = sideOf(settings);
  return side === 'concat' || side === 'mixed';
}

interface WeightedText {
  tokens: Int32Array;
  weight: number;
  number: number | undefined;
}

function textsOf(example: RetrieverExample, settings: BatchSettings, random: Random | undefined): WeightedText[] {
  const wanted = sideOf(settings);
  if (wanted !== 'mixed') return weightedTexts(example, wanted, settings.alpha);
  const sides = sidesOf(example);
  return weightedTexts(example, sides[random?.below(sides.length) ?? 0]!, settings.alpha);
}

/** Texts whose weighted sum of vectors is the query's. */
export function weightedTexts(example: RetrieverExample, side: QuerySide, alpha: number): WeightedText[] {
  const { query, expansions, joined, numbers } = example;
  const spread = (whole: number) =>
    expansions.map((tokens, at) => ({ tokens, weight: whole / expansions.length, number: numbers?.expansions[at] }));
  if (side === 'query') return [{ tokens: query!, weight: 1, number: numbers?.query }];
  if (side === 'concat') return [{ tokens: joined!, weight: 1, number: numbers?.joined }];
  if (side === 'expansion') return spread(1);
  return [{ tokens: query!, weight: 1 - alpha, number: numbers?.query }, ...spread(alpha)];
}
