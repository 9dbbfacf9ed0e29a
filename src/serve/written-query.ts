import { type Generator, type PromptTemplate, passageOf, type Sampling } from '../generate/index.ts';
import { deriveSeed, ModelError } from '../system/index.ts';
import type { LiveWriter } from './live-writer.ts';

/** A server that writes more than this does not obey its limit of tokens, and would fill the memory. */
const CHARACTERS_PER_TOKEN = 100;

/** What is written for a query, and how. */
export interface WritingSettings {
  prompt: PromptTemplate;
  sampling: Sampling;
  samples: number;
  seed: number;
}

/** The texts of a query as they stand. */
export interface TextsSoFar {
  /** Without thoughts and boilerplate; texts without a word are left out. */
  texts: string[];
  /** Whether every text is complete. */
  isWhole: boolean;
  tokens: number;
}

/**
 * The expansions of one query while they are written. Several callers may wait for them, each as long as it likes. When the last has
 * left, the texts are ended, unless they are to be completed for the cache.
 */
export class WrittenQuery {
  /** Ends with the whole texts; undefined if they were ended early. Rejects with the generator's error. */
  readonly whole: Promise<TextsSoFar | undefined>;
  readonly #stop = new AbortController();
  readonly #texts: string[];
  readonly #listeners = new Set<(texts: string[]) => void>();
  readonly #goesOn: () => boolean;
  readonly #mostCharacters: number;
  #tokens = 0;
  #waiting = 0;
  #isWhole = false;
  #isEndless = false;

  /** @param goesOn asked when the last caller has left: whether the texts are completed all the same */
  constructor(
    query: string,
    { writer, generator, settings }: { writer: LiveWriter; generator: Generator; settings: WritingSettings },
    goesOn: () => boolean,
  ) {
    const { prompt, sampling, samples, seed } = settings;
    this.#goesOn = goesOn;
    this.#mostCharacters = CHARACTERS_PER_TOKEN * sampling.maxTokens;
    this.#texts = Array.from({ length: samples }, () => '');
    const messages = prompt.messages({ id: 'query', query });
    const written = this.#texts.map((_none, sample) =>
      writer.write({
        ...{ id: generator.id, messages, sampling, seed: deriveSeed(seed, query, sample), until: this.#stop.signal },
        onText: (text) => this.#grow(sample, text),
      }),
    );
    this.whole = Promise.all(written).then((generations) => {
      if (this.#isEndless) throw new ModelError('the LLM writes without end', { fix: 'Check the log of its server.' });
      for (const [sample, { text }] of generations.entries()) this.#texts[sample] = text;
      const told = generations.reduce((sum, { completionTokens }) => sum + completionTokens, 0);
      this.#tokens = told || this.#tokens;
      this.#isWhole = generations.every(({ stopped, filtered }) => !stopped && !filtered);
      return this.#isWhole ? this.soFar : undefined;
    });
    // A caller that left does not hear of a failure.
    this.whole.catch(() => this.#stop.abort());
  }

  get soFar(): TextsSoFar {
    const texts = this.#texts.map(passageOf).filter((text) => text.trim() !== '');
    return { texts, isWhole: this.#isWhole, tokens: this.#tokens };
  }

  /**
   * Waits for the whole texts, but no longer than a time. @param onTexts receives the texts as they grow
   * @returns what there is then
   */
  async wait(
    milliseconds: number,
    { signal, onTexts }: { signal?: AbortSignal | undefined; onTexts?: ((texts: string[]) => void) | undefined } = {},
  ): Promise<TextsSoFar> {
    this.#waiting++;
    if (onTexts !== undefined) this.#listeners.add(onTexts);
    let timer: NodeJS.Timeout | undefined;
    let onAbort = (): void => {};
    try {
      const time = new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), milliseconds);
        onAbort = () => resolve(undefined);
        signal?.addEventListener('abort', onAbort, { once: true });
        if (signal?.aborted) resolve(undefined);
      });
      return (await Promise.race([this.whole, time])) ?? this.soFar;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      if (onTexts !== undefined) this.#listeners.delete(onTexts);
      if (--this.#waiting === 0 && !this.#goesOn()) this.#stop.abort();
    }
  }

  #grow(sample: number, text: string): void {
    // A text grows by about a token at a time; when it ends, the generator says how many there are.
    this.#tokens++;
    this.#texts[sample] = text.slice(0, this.#mostCharacters);
    if (text.length > this.#mostCharacters) {
      this.#isEndless = true;
      this.#stop.abort();
      return;
    }
    if (this.#listeners.size === 0) return;
    const { texts } = this.soFar;
    for (const listener of this.#listeners) listener(texts);
  }
}
