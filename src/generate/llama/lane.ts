import { Random } from '../../system/index.ts';
import type { Generation, GenerationRequest } from '../generator.ts';
import { sampleToken, type TokenScores } from './sampler.ts';
import type { BatchItem, SequenceContext } from './sequence-context.ts';

/** A request with its tokenised prompt. */
export interface Job {
  request: GenerationRequest;
  prompt: number[];
  /** Whether the prompt was cut to fit. */
  promptCut?: boolean;
}

export interface LaneOptions {
  /** Returns whether a token ends the text. */
  isEnd(token: number): boolean;
  /** Returns the text of generated tokens. */
  textOf(tokens: number[]): string;
  /** Maximum number of prompt tokens per step, so that sequences that are writing do not wait long. */
  promptTokensPerStep: number;
  /** Whether the log-probability of each token is computed. */
  logProbabilities?: boolean | undefined;
  /** Whether the beginning of a prompt may be copied from another sequence. Otherwise each prompt is computed alone. */
  sharePrefixes: boolean;
}

/** A prefix is copied only if it is longer by this many tokens than what the sequence already holds. */
const WORTH_COPYING = 8;

/** One sequence of the context and its current task. */
interface Slot {
  sequence: number;
  /** The prompt and the text written so far; after the end, what the cache still holds. */
  tokens: number[];
  /** Number of tokens that are in the cache. */
  evaluated: number;
  task: Task | undefined;
}

interface Task extends Job {
  /** False until the slot's cache has been prepared for the prompt. */
  placed: boolean;
  random: Random;
  /** Sum over the tokens written so far; stays 0 if it is not asked for. */
  logProbability: number;
  startedAt: number;
}

/**
 * Writes many texts side by side over one context. Each step advances every sequence by one token. A sequence that has ended is
 * refilled before the next step (continuous batching: Yu et al. 2022, "Orca"). Prefixes that prompts share (all samples of a query;
 * the head of the chat template) are computed once and copied.
 */
export class Lane {
  readonly #context: SequenceContext;
  readonly #options: LaneOptions;
  readonly #slots: Slot[];

  constructor(context: SequenceContext, options: LaneOptions) {
    this.#context = context;
    this.#options = options;
    this.#slots = Array.from({ length: context.sequences }, (_, sequence) => ({
      sequence,
      tokens: [],
      evaluated: 0,
      task: undefined,
    }));
  }

  /** Maximum number of tokens in one sequence. */
  get size(): number {
    return this.#context.size;
  }

  /** Number of jobs that can still be admitted. */
  get room(): number {
    return this.#slots.filter(({ task }) => task === undefined).length;
  }

  get busy(): boolean {
    return this.#slots.some(({ task }) => task !== undefined);
  }

  /** Puts a job into the free slot whose cache shares the longest prefix with its prompt. */
  admit(job: Job): void {
    const free = this.#slots.filter(({ task }) => task === undefined);
    const shared = free.map((slot) => sharedPrefix(cached(slot), job.prompt));
    const slot = free[shared.indexOf(Math.max(...shared))];
    if (slot === undefined) throw new Error('no slot is free');
    slot.task = {
      ...job,
      placed: false,
      logProbability: 0,
      random: new Random(job.request.seed),
      startedAt: performance.now(),
    };
  }

  /** Forgets the jobs in progress. */
  drop(): void {
    for (const slot of this.#slots) {
      slot.task = undefined;
      slot.tokens = [];
      slot.evaluated = 0;
    }
  }

  /** Advances every job by one step and returns those that ended. */
  async step(): Promise<Generation[]> {
    const stopped = this.#endStopped();
    if (!this.busy) return stopped;
    await this.#closeRanks();
    for (const slot of this.#slots)
      if (slot.task !== undefined && !slot.task.placed) await this.#place(slot, slot.task);
    const items = this.#nextItems();
    const scores = await this.#context.decode(items);
    const ended = await Promise.all(items.map((item, index) => this.#advance(item, scores[index])));
    return [...stopped, ...ended.filter((generation) => generation !== undefined)];
  }

  /** Ends the jobs whose `until` has fired. */
  #endStopped(): Generation[] {
    const stopped = this.#slots.filter(({ task }) => task?.request.until?.aborted);
    return stopped.map((slot) => ({ ...this.#end(slot, slot.task!, 'length'), stopped: true }));
  }

  /**
   * Moves busy sequences to the front when others are idle: llama.cpp computes a batch in one piece only if its sequences have
   * consecutive numbers.
   */
  async #closeRanks(): Promise<void> {
    if (!this.#options.sharePrefixes) return;
    for (;;) {
      const gap = this.#slots.find(({ task }) => task === undefined);
      const last = this.#slots.findLast(({ task }) => task !== undefined);
      if (gap === undefined || last === undefined || gap.sequence > last.sequence) return;
      if (last.task?.placed && last.evaluated > 0) {
        await this.#context.copy(gap.sequence, last.sequence);
        gap.tokens = [...last.tokens];
        gap.evaluated = last.evaluated;
      }
      gap.task = last.task;
      last.task = undefined;
    }
  }

  /** Prepares the slot's cache for the prompt, or leaves the slot waiting for a prefix that another slot is computing. */
  async #place(slot: Slot, task: Task): Promise<void> {
    const { prompt } = task;
    // The last token is always evaluated again because its scores are needed.
    const reach = prompt.length - 1;
    let held = this.#options.sharePrefixes ? Math.min(reach, sharedPrefix(cached(slot), prompt)) : 0;
    if (this.#options.sharePrefixes) {
      const others = this.#slots.filter((other) => other !== slot);
      const best = longestShared(others, cached, prompt);
      const coming = longestShared(others, (other) => (other.task?.placed ? other.tokens : []), prompt);
      if (coming.length >= Math.max(held, best.length) + WORTH_COPYING) return;
      if (best.slot !== undefined && best.length >= held + WORTH_COPYING) {
        await this.#context.copy(slot.sequence, best.slot.sequence);
        held = Math.min(reach, best.length);
      }
    }
    const trimmed = this.#context.trim(slot.sequence, held);
    slot.evaluated = trimmed ? held : 0;
    slot.tokens = [...prompt];
    task.placed = true;
  }

  #nextItems(): BatchItem[] {
    const items: BatchItem[] = [];
    let promptRoom = this.#options.promptTokensPerStep;
    for (const slot of this.#slots) {
      if (!slot.task?.placed) continue;
      const pending = slot.tokens.length - slot.evaluated;
      const count = pending === 1 ? 1 : Math.min(pending, promptRoom);
      if (pending > 1) promptRoom -= count;
      if (count === 0) continue;
      const tokens = slot.tokens.slice(slot.evaluated, slot.evaluated + count);
      items.push({ sequence: slot.sequence, start: slot.evaluated, tokens, scores: count === pending });
    }
    return items;
  }

  /** Records what was evaluated, draws the next token, and ends the job if it is complete. */
  async #advance(item: BatchItem, scores: TokenScores | undefined): Promise<Generation | undefined> {
    const slot = this.#slots[item.sequence]!;
    const task = slot.task!;
    slot.evaluated += item.tokens.length;
    if (scores === undefined) return undefined;
    const { sampling } = task.request;
    const token = await sampleToken(scores, sampling, task.random);
    if (this.#options.isEnd(token)) return this.#end(slot, task, 'stop');
    if (this.#options.logProbabilities) task.logProbability += await scores.logProbability(token);
    slot.tokens.push(token);
    task.request.onText?.(this.#options.textOf(slot.tokens.slice(task.prompt.length)));
    const written = slot.tokens.length - task.prompt.length;
    // A full context ends a text with the same `finish` as the token limit does; `countText` tells the two apart by the number of
    // tokens.
    const full = written >= sampling.maxTokens || slot.tokens.length >= this.#context.size;
    return full ? this.#end(slot, task, 'length') : undefined;
  }

  #end(slot: Slot, task: Task, finish: Generation['finish']): Generation {
    // Before it is placed, a slot still holds the tokens of the task before.
    const written = task.placed ? slot.tokens.slice(task.prompt.length) : [];
    slot.task = undefined;
    slot.tokens.length = slot.evaluated;
    return {
      id: task.request.id,
      text: this.#options.textOf(written),
      finish,
      promptTokens: task.prompt.length,
      completionTokens: written.length,
      milliseconds: performance.now() - task.startedAt,
      ...(task.promptCut && { promptCut: true }),
      ...(this.#options.logProbabilities &&
        written.length > 0 && { logProbability: task.logProbability / written.length }),
    };
  }
}

/** The tokens in the slot's cache. */
function cached(slot: Slot): number[] {
  return slot.evaluated === slot.tokens.length ? slot.tokens : slot.tokens.slice(0, slot.evaluated);
}

/** Length of the common prefix of two token lists. */
function sharedPrefix(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let length = 0;
  while (length < end && a[length] === b[length]) length++;
  return length;
}

function longestShared(slots: Slot[], tokensOf: (slot: Slot) => number[], prompt: number[]) {
  let best: { slot: Slot | undefined; length: number } = { slot: undefined, length: 0 };
  for (const slot of slots) {
    const length = sharedPrefix(tokensOf(slot), prompt);
    if (length > best.length) best = { slot, length };
  }
  return best;
}
