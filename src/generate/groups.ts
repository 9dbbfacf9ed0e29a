import { ModelError } from '../system/index.ts';
import type { Generation, GenerationRequest, Generator as TextGenerator } from './generator.ts';

/** Requests that belong together: all samples of a query. */
export interface RequestGroup<Item> {
  item: Item;
  /** With ids of their own among all requests under way. */
  requests: GenerationRequest[];
}

/** A group that is complete. */
export interface FinishedGroup<Item> {
  item: Item;
  /** In the order of the requests. */
  generations: Generation[];
  /** How often each was asked for. */
  attempts: number[];
}

export interface GroupOptions {
  /**
   * Groups under way at once: so many are at most held in memory, and lost when the process is killed. Enough that one slow
   * call does not leave the others idle.
   */
  ahead: number;
  /** Gives the request to be made in place of one whose text will not do. */
  again?:
    | ((request: GenerationRequest, generation: Generation, attempts: number) => GenerationRequest | undefined)
    | undefined;
  signal?: AbortSignal | undefined;
  /** Told of each text, also of those that are asked for again. */
  onText?: ((generation: Generation) => void) | undefined;
}

/**
 * Lets a generator work through groups of requests and gives each group back whole, in the order of the groups. Groups are
 * read one by one, when there is room, so that neither they nor their texts gather in memory.
 *
 * @throws ModelError for a generator that answers what was not asked, or not all; and what the generator throws
 */
export async function* completeGroups<Item>(
  generator: TextGenerator,
  groups: Iterable<RequestGroup<Item>> | AsyncIterable<RequestGroup<Item>>,
  options: GroupOptions,
): AsyncGenerator<FinishedGroup<Item>> {
  const feed = new GroupFeed(groups, options);
  for await (const generation of generator.generate(feed, options.signal)) {
    options.onText?.(generation);
    yield* feed.take(generation);
  }
  feed.refuseLeftovers();
}

interface OpenGroup<Item> extends FinishedGroup<Item> {
  left: number;
}

interface OpenRequest<Item> {
  request: GenerationRequest;
  group: OpenGroup<Item>;
  place: number;
}

const BROKEN = { mend: 'Report this with the name of the generator.' };

/** The requests of all groups, and what is known of those under way. */
class GroupFeed<Item> implements AsyncIterableIterator<GenerationRequest> {
  readonly #groups: Iterator<RequestGroup<Item>> | AsyncIterator<RequestGroup<Item>>;
  readonly #options: GroupOptions;
  /** Groups under way, in their order. */
  readonly #order: OpenGroup<Item>[] = [];
  readonly #open = new Map<string, OpenRequest<Item>>();
  /** Requests that wait to be pulled; those that are made again come first. */
  #ready: GenerationRequest[] = [];
  #allRead = false;
  #closed = false;
  #wake: () => void = () => {};

  constructor(groups: Iterable<RequestGroup<Item>> | AsyncIterable<RequestGroup<Item>>, options: GroupOptions) {
    this.#groups = Symbol.asyncIterator in groups ? groups[Symbol.asyncIterator]() : groups[Symbol.iterator]();
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<GenerationRequest>> {
    while (!this.#closed) {
      const request = this.#ready.shift();
      if (request !== undefined) return { value: request, done: false };
      if (!this.#allRead && this.#order.length < this.#options.ahead) await this.#readGroup();
      else if (this.#allRead && (this.#order.length === 0 || this.#options.again === undefined)) break;
      else await this.#change();
    }
    return { value: undefined, done: true };
  }

  /** Ends a `next` that waits, too: an async generator could not be stopped there. */
  async return(): Promise<IteratorResult<GenerationRequest>> {
    this.#closed = true;
    this.#wake();
    await this.#groups.return?.();
    return { value: undefined, done: true };
  }

  /** Books a text and gives the groups that are now complete and at their turn. */
  *take(generation: Generation): Generator<FinishedGroup<Item>> {
    const open = this.#open.get(generation.id);
    if (open === undefined)
      throw new ModelError('the generator answered what was not asked', { ...BROKEN, id: generation.id });
    this.#open.delete(generation.id);
    const { group, place, request } = open;
    group.attempts[place]!++;
    const again = this.#options.again?.(request, generation, group.attempts[place]!);
    if (again === undefined) {
      group.generations[place] = generation;
      group.left--;
    } else {
      this.#open.set(again.id, { request: again, group, place });
      this.#ready.unshift(again);
    }
    while (this.#order[0]?.left === 0) {
      const { item, generations, attempts } = this.#order.shift()!;
      yield { item, generations, attempts };
    }
    this.#wake();
  }

  refuseLeftovers(): void {
    const left = this.#open.keys().next().value;
    if (left !== undefined) throw new ModelError('the generator left a request unanswered', { ...BROKEN, id: left });
  }

  async #readGroup(): Promise<void> {
    const { value, done } = await this.#groups.next();
    if (done) {
      this.#allRead = true;
      return;
    }
    const { item, requests } = value;
    const group = { item, generations: [], attempts: requests.map(() => 0), left: requests.length };
    for (const [place, request] of requests.entries()) this.#open.set(request.id, { request, group, place });
    this.#order.push(group);
    this.#ready.push(...requests);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
