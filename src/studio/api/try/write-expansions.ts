import {
  type Generation,
  type Generator,
  PromptTemplate,
  passageOf,
  type Sampling,
  WRITERS_FORMAT,
} from '../../../generate/index.ts';
import { type ExpansionStore, RequestError } from '../../../serve/index.ts';
import { contentKey, deriveSeed } from '../../../system/index.ts';
import type { TryWritten } from '../../shapes/try.ts';

export interface WriteOptions {
  generator: Generator;
  store: ExpansionStore;
  prompt: PromptTemplate;
  sampling: Sampling;
  samples: number;
  seed: number;
  /** Receives the texts whenever one has grown // [samples] */
  onTexts: (texts: string[]) => void;
  signal: AbortSignal;
}

/** Makes a template of what was typed. @throws UsageError for a prompt without {query}; RequestError for one that needs a document */
export function typedPrompt(text: string): PromptTemplate {
  const prompt = new PromptTemplate('typed', text);
  if (!prompt.needsDocument) return prompt;
  throw new RequestError(400, 'the prompt needs a relevant document, and a try has none', {
    fix: 'Remove {document} from the prompt.',
  });
}

/**
 * Writes the expansions of a query side by side. A text that was written before, with everything equal, is taken from the store: more
 * expansions only cost the new ones. After the signal, the texts end as they are, and are not kept.
 */
export async function writeExpansions(query: string, options: WriteOptions): Promise<TryWritten> {
  const { generator, store, prompt, sampling, samples, seed, onTexts, signal } = options;
  const started = performance.now();
  const keys = Array.from({ length: samples }, (_none, sample) => keyOf(query, sample, options));
  const kept = await Promise.all(keys.map((key) => store.get(key)));
  const texts = kept.map((one) => one?.texts[0] ?? '');
  if (kept.some((one) => one !== undefined)) onTexts([...texts]);
  const messages = prompt.messages({ id: 'query', query });
  const missing = [...keys.keys()].filter((sample) => kept[sample] === undefined);
  const requests = missing.map((sample) => ({
    ...{ id: `${sample}`, messages, sampling, seed: deriveSeed(seed, query, sample) },
    onText: (text: string) => {
      texts[sample] = passageOf(text);
      onTexts([...texts]);
    },
  }));
  let tokens = 0;
  for await (const generation of generator.generate(requests, signal)) {
    const sample = Number(generation.id);
    refuseTooLong(generation);
    texts[sample] = passageOf(generation.text);
    tokens += generation.completionTokens;
    onTexts([...texts]);
    if (generation.stopped || generation.filtered || texts[sample]!.trim() === '') continue;
    await store.put(keys[sample]!, { query, texts: [texts[sample]!], tokens: generation.completionTokens });
  }
  return { texts, tokens, kept: samples - missing.length, milliseconds: performance.now() - started };
}

function refuseTooLong({ promptTooLong }: Generation): void {
  if (!promptTooLong) return;
  throw new RequestError(400, 'the prompt and the query are longer than the context of the language model', {
    fix: 'Shorten them, or start the studio with a larger --context.',
  });
}

function keyOf(query: string, sample: number, { generator, prompt, sampling, seed }: WriteOptions): string {
  const { fingerprint, contextSize } = generator;
  return contentKey({
    ...{ of: 'try', format: WRITERS_FORMAT, fingerprint, contextSize, prompt: prompt.text },
    ...{ sampling, seed, sample, query },
  });
}
