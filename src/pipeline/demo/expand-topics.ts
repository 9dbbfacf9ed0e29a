import { join } from 'node:path';
import { type Expansion, readExpansions } from '../../data/index.ts';
import { type Topics, withExpansions } from '../../evaluate/index.ts';
import { expandQueries, loadGenerator, type PromptTemplate, type Sampling } from '../../generate/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import type { Progress } from '../../system/index.ts';

export interface ExpandTopicsSettings {
  /** Folder of the run. */
  folder: string;
  /** LoRA adapters of the model. */
  adapters: readonly string[];
  prompt: PromptTemplate;
  sampling: Sampling;
  seed: number;
  threads: number | undefined;
}

export interface ExpandedTopics {
  topics: Topics;
  expansions: Expansion[];
  expansionsFile: string;
  /** The same in BEIR's layout. */
  queriesFile: string;
  /** Generator, prompt and sampling, as name and value, for reports and manifests. */
  provenance: [name: string, value: string][];
}

/** Writes one passage per query into the run's `expansions.jsonl`, and joins the passages to the topics. */
export async function expandTopics(
  topics: Topics,
  model: ResolvedModel,
  { folder, adapters, prompt, sampling, seed, threads }: ExpandTopicsSettings,
  { signal, progress }: { signal?: AbortSignal | undefined; progress?: Progress | undefined },
): Promise<ExpandedTopics> {
  const generator = await loadGenerator(model, {
    ...{ threads, signal, progress },
    adapters: adapters.map((path) => ({ path })),
  });
  try {
    const { files } = await expandQueries({
      queries: topics.queries,
      generator,
      prompt,
      sampling,
      seed,
      out: join(folder, 'expansions.jsonl'),
      // The folder belongs to this demo; texts with other settings stay in the journal.
      force: true,
      signal,
      progress,
    });
    const byQuery = await readExpansions(files.expansions);
    return {
      topics: withExpansions(topics, byQuery),
      expansions: [...byQuery.values()].flat(),
      expansionsFile: files.expansions,
      queriesFile: files.queries,
      provenance: [
        ['generator', generator.id],
        ['generator key', generator.fingerprint],
        ...adapters.map((path): [string, string] => ['adapter', path]),
        ['prompt', `${prompt.name}: ${prompt.text}`],
        ...Object.entries(sampling).map(([name, value]): [string, string] => [name, String(value)]),
        ['seed', String(seed)],
      ],
    };
  } finally {
    await generator.close();
  }
}
