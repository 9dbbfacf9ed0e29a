import { describe, expect, it } from 'vitest';
import type { Generation, GenerationRequest } from '../generator.ts';
import { Lane } from './lane.ts';
import type { TokenScores } from './sampler.ts';
import type { BatchItem, SequenceContext } from './sequence-context.ts';

const END = 0;

/**
 * A language model of eight tokens. Its next scores are a hash of all tokens before, so a cache that holds anything but the
 * sequence's own tokens leads to another text.
 */
class ToyContext implements SequenceContext {
  readonly sequences: number;
  readonly size: number;
  readonly caches: number[][];
  readonly batches: BatchItem[][] = [];
  evaluated = 0;
  copies = 0;

  constructor(sequences: number, size = 100) {
    this.sequences = sequences;
    this.size = size;
    this.caches = Array.from({ length: sequences }, () => []);
  }

  async decode(items: readonly BatchItem[]) {
    this.batches.push([...items]);
    const order = items.map(({ sequence }) => sequence);
    expect(order).toEqual([...new Set(order)].sort((a, b) => a - b));
    return items.map(({ sequence, start, tokens, scores }) => {
      const cache = this.caches[sequence]!;
      expect(cache.length).toBe(start);
      cache.push(...tokens);
      this.evaluated += tokens.length;
      return scores ? new ToyScores([...cache]) : undefined;
    });
  }

  async copy(target: number, source: number) {
    this.copies++;
    this.caches[target] = [...this.caches[source]!];
  }

  trim(sequence: number, length: number) {
    this.caches[sequence]!.length = length;
    return true;
  }

  async close() {}
}

class ToyScores implements TokenScores {
  readonly vocabularySize = 8;
  readonly #logits: number[];

  constructor(tokens: number[]) {
    const hash = tokens.reduce((sum, token) => (Math.imul(sum, 31) + token + 7) | 0, 17) >>> 0;
    this.#logits = Array.from({ length: 8 }, (_, token) => ((hash >>> (token * 3)) % 8) / 3);
  }

  async best() {
    return (await this.top(1, 1)).tokens[0]!;
  }

  async top(count: number, temperature: number) {
    const order = this.#logits.map((logit, token) => ({ token, score: logit / temperature }));
    order.sort((a, b) => b.score - a.score || a.token - b.token);
    const kept = order.slice(0, count);
    return { tokens: kept.map(({ token }) => token), scores: kept.map(({ score }) => score) };
  }

  async totalWeight(temperature: number) {
    const best = Math.max(...this.#logits);
    return this.#logits.reduce((sum, logit) => sum + Math.exp((logit - best) / temperature), 0);
  }

  async logProbability(token: number) {
    const total = this.#logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    return this.#logits[token]! - Math.log(total);
  }
}

function requestOf(id: string, seed: number, maxTokens = 12): GenerationRequest {
  return { id, messages: [], sampling: { temperature: 1, topP: 0.9, topK: 0, maxTokens }, seed };
}

function laneOver(
  context: SequenceContext,
  sharePrefixes: boolean,
  promptTokensPerStep = 5,
  logProbabilities = false,
): Lane {
  const textOf = (tokens: number[]): string => tokens.join(' ');
  return new Lane(context, {
    isEnd: (token) => token === END,
    textOf,
    promptTokensPerStep,
    sharePrefixes,
    logProbabilities,
  });
}

async function runAll(lane: Lane, jobs: { request: GenerationRequest; prompt: number[] }[]): Promise<Generation[]> {
  const waiting = [...jobs];
  const ended: Generation[] = [];
  while (waiting.length > 0 || lane.busy) {
    while (lane.room > 0 && waiting.length > 0) lane.admit(waiting.shift()!);
    ended.push(...(await lane.step()));
  }
  return ended;
}

const HEAD = [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7];
const JOBS = Array.from({ length: 40 }, (_, index) => ({
  request: requestOf(`r${index}`, index),
  prompt: [...HEAD, 1 + (Math.floor(index / 4) % 7), 1 + (Math.floor(index / 28) % 7), 3],
}));

function texts(generations: Generation[]): Record<string, string> {
  return Object.fromEntries(generations.map(({ id, text }) => [id, text]));
}

describe('Lane', () => {
  it('writes the same text for a request whatever runs alongside it', async () => {
    const alone = texts(await runAll(laneOver(new ToyContext(1), false), JOBS));
    expect(Object.keys(alone)).toHaveLength(JOBS.length);
    expect(new Set(Object.values(alone)).size).toBeGreaterThan(20);
    for (const sequences of [1, 3, 8, 64]) {
      for (const share of [true, false]) {
        expect(texts(await runAll(laneOver(new ToyContext(sequences), share), JOBS))).toEqual(alone);
      }
    }
  });

  it('gives the mean log-probability of a text, if it is asked for, and changes no text', async () => {
    const plain = await runAll(laneOver(new ToyContext(3), true), JOBS.slice(0, 6));
    expect(plain.some((one) => 'logProbability' in one)).toBe(false);
    const ended = await runAll(laneOver(new ToyContext(3), true, 5, true), JOBS.slice(0, 6));
    expect(texts(ended)).toEqual(texts(plain));
    for (const { id, text, logProbability } of ended) {
      const { prompt } = JOBS.find(({ request }) => request.id === id)!;
      const written = text === '' ? [] : text.split(' ').map(Number);
      const each = await Promise.all(
        written.map((token, at) => new ToyScores([...prompt, ...written.slice(0, at)]).logProbability(token)),
      );
      const mean = each.reduce((sum, one) => sum + one, 0) / each.length;
      if (written.length === 0) expect(logProbability).toBeUndefined();
      else expect(logProbability).toBeCloseTo(mean, 12);
    }
  });

  it('ends a text when it is told to, with what is written, and goes on with the others', async () => {
    const whole = texts(await runAll(laneOver(new ToyContext(2), true), JOBS.slice(0, 6)));
    const grown: string[] = [];
    const stop = new AbortController();
    const longest = Object.entries(whole).reduce((best, one) => (one[1].length > best[1].length ? one : best))[0];
    const jobs = JOBS.slice(0, 6).map((job) => {
      if (job.request.id !== longest) return job;
      const onText = (text: string) => {
        grown.push(text);
        if (grown.length === 3) stop.abort();
      };
      return { ...job, request: { ...job.request, onText, until: stop.signal } };
    });
    const ended = await runAll(laneOver(new ToyContext(2), true), jobs);
    const cut = ended.find(({ id }) => id === longest)!;
    expect(cut).toMatchObject({ stopped: true, completionTokens: 3, text: grown[2] });
    expect(grown.map((text) => whole[longest]!.startsWith(text))).toEqual([true, true, true]);
    expect({ ...texts(ended), [longest]: whole[longest] }).toEqual(whole);
  });

  it('ends a text that has not begun, and leaves the cache of its place usable', async () => {
    const jobs = JOBS.slice(0, 4);
    const until = AbortSignal.abort();
    const some = jobs.map((job, at) => (at === 2 ? { ...job, request: { ...job.request, until } } : job));
    const ended = await runAll(laneOver(new ToyContext(1), true), some);
    expect(ended[2]).toMatchObject({ stopped: true, text: '', completionTokens: 0 });
    const alone = texts(await runAll(laneOver(new ToyContext(1), true), jobs));
    expect(texts(ended)).toEqual({ ...alone, [jobs[2]!.request.id]: '' });
  });

  it('computes the common beginning of prompts once', async () => {
    const shared = new ToyContext(8);
    const apart = new ToyContext(8);
    const ended = await runAll(laneOver(shared, true, 64), JOBS);
    await runAll(laneOver(apart, false, 64), JOBS);
    const written = ended.reduce((sum, { completionTokens }) => sum + completionTokens, 0);
    const prompts = JOBS.length * JOBS[0]!.prompt.length;
    expect(apart.evaluated).toBeGreaterThan(prompts);
    // The head once, then the few tokens in which each prompt differs.
    expect(shared.evaluated).toBeLessThan(HEAD.length + JOBS.length * 4 + written);
    expect(shared.copies).toBeGreaterThan(0);
  });

  it('computes a prompt once for all samples of a query, whatever their temperatures, on few sequences or many', async () => {
    const temperatures = [0.8, 0.9, 1, 1.1];
    const queries = [1, 2, 3];
    const jobs = queries.flatMap((query) =>
      Array.from({ length: 32 }, (_none, index) => {
        const request = requestOf(`${query}#${index}`, 100 * query + index);
        const sampling = { ...request.sampling, temperature: temperatures[Math.floor(index / 8)]! };
        return { request: { ...request, sampling }, prompt: [...HEAD, ...Array.from({ length: 12 }, () => query)] };
      }),
    );
    for (const sequences of [4, 32, 40]) {
      const context = new ToyContext(sequences);
      const ended = await runAll(laneOver(context, true, 64), jobs);
      expect(ended).toHaveLength(jobs.length);
      // Every drawn token except the last of a text goes into the cache; the end token never does.
      const fed = ended.reduce(
        (sum, { completionTokens, finish }) => sum + completionTokens - (finish === 'length' ? 1 : 0),
        0,
      );
      // The head once, each query's own tokens once, and the last token again for each sample, because its scores are needed.
      const promptTokens = context.evaluated - fed;
      expect(promptTokens).toBeLessThanOrEqual(HEAD.length + queries.length * 12 + jobs.length);
      expect(promptTokens).toBeGreaterThanOrEqual(HEAD.length + jobs.length);
    }
  });

  it('refills a sequence before the next step', async () => {
    const context = new ToyContext(4);
    await runAll(laneOver(context, false, 1000), JOBS);
    const widths = context.batches.map((items) => items.length);
    const fullUntil = widths.findIndex((width) => width < 4);
    expect(fullUntil).toBeGreaterThan(widths.length * 0.6);
  });

  it('moves the busy sequences together when few are left', async () => {
    const context = new ToyContext(8);
    await runAll(laneOver(context, true), JOBS.slice(0, 8));
    for (const items of context.batches.slice(-6)) {
      expect(items.map(({ sequence }) => sequence)).toEqual(items.map((_, index) => index));
    }
  });

  it('spreads a long prompt over several steps', async () => {
    const context = new ToyContext(2);
    const prompt = Array.from({ length: 23 }, (_, index) => 1 + (index % 7));
    await runAll(laneOver(context, false, 5), [{ request: requestOf('a', 1, 1), prompt }]);
    expect(context.batches.map(([item]) => item!.tokens.length)).toEqual([5, 5, 5, 5, 3]);
  });

  it('ends at the token limit, at the end token and when the context is full', async () => {
    const ended = await runAll(laneOver(new ToyContext(4, 24), true), JOBS.slice(0, 20));
    for (const { finish, completionTokens, text } of ended) {
      expect(text.split(' ').filter(Boolean)).toHaveLength(completionTokens);
      expect(text).not.toContain('0');
      if (finish === 'length') expect(completionTokens).toBe(24 - 17);
      else expect(completionTokens).toBeLessThan(24 - 17 + 1);
    }
    expect(new Set(ended.map(({ finish }) => finish))).toEqual(new Set(['stop', 'length']));
  });

  it('forgets dropped jobs', async () => {
    const context = new ToyContext(2);
    const lane = laneOver(context, true);
    lane.admit(JOBS[0]!);
    await lane.step();
    lane.drop();
    expect(lane.busy).toBe(false);
    const alone = texts(await runAll(laneOver(new ToyContext(1), false), JOBS.slice(4, 6)));
    expect(texts(await runAll(lane, JOBS.slice(4, 6)))).toEqual(alone);
  });
});
