import type { TryFacts, TryRetriever } from '../../shapes/try.ts';

/** What the address says of a try; everything on the screen follows from it. */
export interface TryState {
  query: string;
  corpus: string;
  retriever: TryRetriever;
  alpha: number;
  samples: number;
  queryRepeats: number;
  filter: string;
  arms: ArmState[];
}

/** Who writes expansions, and with which prompt. */
export interface ArmState {
  key: 'a' | 'b';
  writer: string;
  /** Name of a prompt that is offered; undefined for one that was typed. */
  promptName: string | undefined;
  prompt: string;
}

export const RETRIEVERS: readonly (readonly [TryRetriever, string])[] = [
  ['dense', 'Dense (vectors)'],
  ['bm25', 'BM25 (words)'],
  ['rrf', 'Fused (both)'],
];

/** Reads the address. What it does not say, or says wrongly, is as the studio was started. */
export function readState(params: URLSearchParams, facts: TryFacts): TryState {
  const { corpora, samples, alpha, queryRepeats, mostSamples } = facts;
  const retriever = RETRIEVERS.find(([name]) => name === params.get('by'))?.[0] ?? 'dense';
  return {
    query: params.get('q') ?? '',
    corpus: corpora.find(({ name }) => name === params.get('corpus'))?.name ?? corpora[0]?.name ?? '',
    retriever,
    alpha: numberIn(params.get('alpha'), 0, 1) ?? alpha,
    samples: Math.round(numberIn(params.get('n'), 1, mostSamples) ?? samples),
    queryRepeats: Math.round(numberIn(params.get('repeats'), 1, 100) ?? queryRepeats),
    filter: (params.get('filter') ?? '').slice(0, 200),
    arms: params.has('b') ? [readArm('a', params, facts), readArm('b', params, facts)] : [readArm('a', params, facts)],
  };
}

function readArm(key: 'a' | 'b', params: URLSearchParams, { writers, prompts }: TryFacts): ArmState {
  const usual = writers[key === 'a' ? 0 : Math.min(1, writers.length - 1)]!.name;
  const writer = writers.find(({ name }) => name === params.get(`writer-${key}`))?.name ?? usual;
  const typed = params.get(`prompt-${key}`);
  const named = prompts.find(({ name }) => name === params.get(`task-${key}`)) ?? prompts[0]!;
  if (typed !== null) return { key, writer, promptName: undefined, prompt: typed };
  return { key, writer, promptName: named.name, prompt: named.text };
}

function numberIn(text: string | null, least: number, most: number): number | undefined {
  if (text === null || text.trim() === '') return undefined;
  const number = Number(text);
  return number >= least && number <= most ? number : undefined;
}
