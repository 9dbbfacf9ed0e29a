import { ModelError } from '../../system/index.ts';
import type { Generation, GenerationRequest, Generator as TextGenerator } from '../generator.ts';
import { readWrittenText, type WrittenText } from './written-text.ts';

/** Requests that belong together: all samples of a query. */
export interface RequestGroup<Item> {
  item: Item;
  /** Their ids are unique among all requests in progress. */
  requests: GenerationRequest[];
  /** Texts that exist already, by the position of their request. */
  known?: ReadonlyMap<number, WrittenText> | undefined;
}

/** A complete group. */
export interface FinishedGroup<Item> {
  item: Item;
  /** In the order of the requests. */
  texts: WrittenText[];
}

export interface GroupOptions<Item> {
  /** Maximum number of groups in progress: those with a missing text. */
  ahead: number;
  /** Maximum number of groups in memory: those in progress, and complete ones that wait for an earlier one. */
  held: number;
  /** Returns the request that replaces one whose text is not acceptable; undefined to accept the text. */
  again?: ((request: GenerationRequest, text: WrittenText) => GenerationRequest | undefined) | undefined;
  signal?: AbortSignal | undefined;
  /** Called with each text, including texts that are requested again. */
  onText?: ((generation: Generation) => void) | undefined;
  /** Stores each accepted text as soon as it is written, before anything else happens to it. */
  keep?: ((item: Item, place: number, text: WrittenText) => Promise<void>) | undefined;
}

/**
 * Lets a generator work through groups of requests and returns each complete group, in the order of the groups. Groups are read one
 * by one, when there is room, so that neither they nor their texts accumulate in memory.
 *
 * @throws ModelError if the generator answers an unknown request or skips one; and what the generator throws
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
  /** How often each text was requested. */
  attempts: number[];
  left: number;
}

interface OpenRequest<Item> {
  request: GenerationRequest;
  group: OpenGroup<Item>;
  place: number;
}

const BROKEN = { fix: 'Report this with the name of the generator.' };

/** The requests of all groups, and the state of those in progress. */
class GroupFeed<Item> implements AsyncIterableIterator<GenerationRequest> {
  readonly #groups: Iterator<RequestGroup<Item>> | AsyncIterator<RequestGroup<Item>>;
  readonly #options: GroupOptions<Item>;
  /** Groups in memory, in order. */
  readonly #order: OpenGroup<Item>[] = [];
  /** How many of them are incomplete. */
  #underWay = 0;
  readonly #open = new Map<string, OpenRequest<Item>>();
  /** Requests that wait to be pulled. Repeated ones come first. */
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

  /** Also ends a waiting `next`; an async generator could not be stopped there. */
  async return(): Promise<IteratorResult<GenerationRequest>> {
    this.#closed = true;
    this.#wake();
    await this.#groups.return?.();
    return { value: undefined, done: true };
  }

  /** If nothing is in progress, nothing would ever make room: the limit on memory is then exceeded. */
  get #hasRoom(): boolean {
    const { ahead, held } = this.#options;
    return this.#underWay < ahead && (this.#order.length < held || this.#underWay === 0);
  }

  /** Records a text and returns its position; undefined if it is requested again. */
  book(generation: Generation): { item: Item; place: number; text: WrittenText } | undefined {
    const open = this.#open.get(generation.id);
    if (open === undefined)
      throw new ModelError('the generator answered a request that was not made', { ...BROKEN, id: generation.id });
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

  /** Yields the complete groups that have no incomplete group before them. */
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
