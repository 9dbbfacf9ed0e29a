import { ModelError } from '../../system/index.ts';
import type { Generation, GenerationRequest, Generator as TextGenerator } from '../generator.ts';
import { readWrittenText, type WrittenText } from './written-text.ts';

/** Requests that belong together: all samples of a query. */
export interface RequestGroup<Item> {
  item: Item;
  /** With ids of their own among all requests under way. */
  requests: GenerationRequest[];
  /** Texts that are there from before, by the place of their request. */
  known?: ReadonlyMap<number, WrittenText> | undefined;
}

/** A group that is complete. */
export interface FinishedGroup<Item> {
  item: Item;
  /** In the order of the requests. */
  texts: WrittenText[];
}

export interface GroupOptions<Item> {
  /** Groups under way at once: those with a text that is still to come. */
  ahead: number;
  /** Groups in memory at once: those under way, and whole ones that wait for one before them. */
  held: number;
  /** Gives the request to be made in place of one whose text will not do. */
  again?: ((request: GenerationRequest, text: WrittenText) => GenerationRequest | undefined) | undefined;
  signal?: AbortSignal | undefined;
  /** Told of each text, also of those that are asked for again. */
  onText?: ((generation: Generation) => void) | undefined;
  /** Keeps each text that will do as soon as it is there, before anything else is done with it. */
  keep?: ((item: Item, place: number, text: WrittenText) => Promise<void>) | undefined;
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
  options: GroupOptions<Item>,
): AsyncGenerator<FinishedGroup<Item>> {
  const feed = new GroupFeed(groups, options);
  for await (const generation of generator.generate(feed, options.signal)) {
    options.onText?.(generation);
    const accepted = feed.book(generation);
    if (accepted !== undefined) await options.keep?.(accepted.item, accepted.place, accepted.text);
    yield* feed.atTheirTurn();
  }
  feed.refuseLeftovers();
  yield* feed.atTheirTurn();
}

interface OpenGroup<Item> extends FinishedGroup<Item> {
  /** How often each text was asked for. */
  attempts: number[];
  left: number;
}

interface OpenRequest<Item> {
  request: GenerationRequest;
  group: OpenGroup<Item>;
  place: number;
}

const BROKEN = { fix: 'Report this with the name of the generator.' };

/** The requests of all groups, and what is known of those under way. */
class GroupFeed<Item> implements AsyncIterableIterator<GenerationRequest> {
  readonly #groups: Iterator<RequestGroup<Item>> | AsyncIterator<RequestGroup<Item>>;
  readonly #options: GroupOptions<Item>;
  /** Groups in memory, in their order. */
  readonly #order: OpenGroup<Item>[] = [];
  /** How many of them are not whole. */
  #underWay = 0;
  readonly #open = new Map<string, OpenRequest<Item>>();
  /** Requests that wait to be pulled; those that are made again come first. */
  #ready: GenerationRequest[] = [];
  #allRead = false;
  #closed = false;
  #wake: () => void = () => {};

  constructor(groups: Iterable<RequestGroup<Item>> | AsyncIterable<RequestGroup<Item>>, options: GroupOptions<Item>) {
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
      if (!this.#allRead && this.#hasRoom) await this.#readGroup();
      else if (this.#allRead && (this.#underWay === 0 || this.#options.again === undefined)) break;
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

  /** Where nothing is under way nobody would make room: then it goes on beyond what may be held. */
  get #hasRoom(): boolean {
    const { ahead, held } = this.#options;
    return this.#underWay < ahead && (this.#order.length < held || this.#underWay === 0);
  }

  /** Books a text, and says where it belongs; undefined where it is asked for again. */
  book(generation: Generation): { item: Item; place: number; text: WrittenText } | undefined {
    const open = this.#open.get(generation.id);
    if (open === undefined)
      throw new ModelError('the generator answered what was not asked', { ...BROKEN, id: generation.id });
    this.#open.delete(generation.id);
    const { group, place, request } = open;
    const text = readWrittenText(generation, ++group.attempts[place]!);
    const again = this.#options.again?.(request, text);
    if (again !== undefined) {
      this.#open.set(again.id, { request: again, group, place });
      this.#ready.unshift(again);
      return undefined;
    }
    group.texts[place] = text;
    group.left--;
    if (group.left === 0) this.#underWay--;
    return { item: group.item, place, text };
  }

  /** The groups that are whole and have none before them. */
  *atTheirTurn(): Generator<FinishedGroup<Item>> {
    while (this.#order[0]?.left === 0) {
      const { item, texts } = this.#order.shift()!;
      yield { item, texts };
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
    const { item, requests, known } = value;
    const group: OpenGroup<Item> = { item, texts: [], attempts: requests.map(() => 0), left: 0 };
    for (const [place, request] of requests.entries()) {
      const text = known?.get(place);
      if (text !== undefined) {
        group.texts[place] = text;
        continue;
      }
      this.#open.set(request.id, { request, group, place });
      this.#ready.push(request);
      group.left++;
    }
    this.#order.push(group);
    if (group.left > 0) this.#underWay++;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
