import { z } from 'zod';
import { VERDICT_THRESHOLDS } from '../../evaluate/index.ts';
import { readStageManifest } from '../../files/index.ts';

const factsSchema = z.object({
  generator: z.string().optional(),
  adapters: z.array(z.string()).optional(),
  prompt: z.object({ name: z.string(), text: z.string() }).optional(),
  /** Expansions per query. */
  samples: z.number().optional(),
  temperature: z.number().optional(),
  topP: z.number().optional(),
  topK: z.number().optional(),
  maxTokens: z.number().optional(),
  seed: z.number().optional(),
});
/** How expansions were written, as far as known. */
export type ExpansionFacts = {
  [Name in keyof z.output<typeof factsSchema>]?: z.output<typeof factsSchema>[Name] | undefined;
};

/** Reads how expansions were written from the manifest of their file. Returns undefined if there is none. @throws DataError */
export async function readExpansionFacts(file: string): Promise<ExpansionFacts | undefined> {
  const manifest = await readStageManifest(file);
  if (manifest === undefined) return undefined;
  const { sampling, ...settings } = manifest.settings;
  const known = { ...settings, ...(typeof sampling === 'object' ? sampling : {}), generator: manifest.about.generator };
  const fields = Object.entries(factsSchema.shape).flatMap(([name, schema]) => {
    const parsed = schema.safeParse(known[name as keyof typeof known]);
    return parsed.success && parsed.data !== undefined ? [[name, parsed.data] as const] : [];
  });
  return Object.fromEntries(fields);
}

/** Returns one sentence: `Expansions by smollm2, prompt q2d, 1 per query, temperature 1, top-p 0.9, at most 32 tokens, seed 42.` */
export function describeExpansions(facts: ExpansionFacts | undefined): string {
  if (facts === undefined || Object.keys(facts).length === 0) {
    return 'The expansions have no manifest: it is not known which LLM wrote them, and how.';
  }
  const { generator, adapters = [], prompt, samples, temperature, topP, topK, maxTokens, seed } = facts;
  const by = [generator ?? 'an LLM that the manifest does not name', ...adapters.map((path) => `the adapter ${path}`)];
  const parts = [
    `Expansions by ${by.join(' with ')}`,
    prompt && (prompt.name === 'own' ? 'a custom prompt (see Settings)' : `prompt ${prompt.name}`),
    samples && `${samples} per query`,
    temperature !== undefined && (temperature === 0 ? 'greedy decoding' : `temperature ${temperature}`),
    temperature !== 0 && topP !== undefined && `top-p ${topP}`,
    temperature !== 0 && topK !== undefined && topK > 0 && `top-k ${topK}`,
    maxTokens !== undefined && `at most ${maxTokens} tokens`,
    seed !== undefined && `seed ${seed}`,
  ];
  return `${parts.filter((part) => typeof part === 'string').join(', ')}.`;
}

/** Returns the facts as a section of settings. */
export function expansionSettings(facts: ExpansionFacts | undefined): [name: string, value: string][] {
  if (facts === undefined) return [];
  const { prompt, adapters = [], ...rest } = facts;
  const named = Object.entries(rest).map(([name, value]): [string, string] => [name, String(value)]);
  return [
    ...named,
    ...adapters.map((path): [string, string] => ['adapter', path]),
    ...(prompt === undefined ? [] : [['prompt', `${prompt.name}: ${prompt.text}`] as [string, string]]),
  ];
}

/** Where the weight of the expansions comes from. */
export type AlphaSource = 'default' | 'given' | 'other queries' | 'dev' | 'cross-validation';

/** Returns a sentence on alpha and how it was chosen. */
export function describeAlpha(alpha: number | string, source: AlphaSource): string {
  const origin: Record<AlphaSource, string> = {
    default: 'is the published default, not tuned for this data: another value may work better (`--alphas`)',
    given: 'was set by the user; how it was chosen is not recorded',
    'other queries': 'was chosen on other queries (the development split), not on those evaluated here',
    dev: 'was chosen on the development queries, not on those evaluated here',
    'cross-validation': 'was chosen by cross-validation: for each query on other queries, never on itself',
  };
  return `Alpha, the weight of the expansion in the query vector, is ${alpha}; it ${origin[source]}.`;
}

/** Returns a warning for a sample that is too small to show much, undefined for a larger one. */
export function describeSample(queries: number): string | undefined {
  if (queries >= VERDICT_THRESHOLDS.fewQueries) return undefined;
  return `Only ${queries} ${queries === 1 ? 'query was' : 'queries were'} evaluated: another sample can easily reverse the sign of the change. Evaluate at least ${VERDICT_THRESHOLDS.fewQueries}.`;
}

/** Returns a sentence on the noise of sampled texts, undefined for texts that are not sampled. */
export function describeNoise(facts: ExpansionFacts | undefined): string | undefined {
  if (facts?.temperature === undefined || facts.temperature === 0) return undefined;
  const { samples, temperature } = facts;
  const passages = samples === undefined || samples === 1 ? 'One passage' : `${samples} passages`;
  return `${passages} per query at temperature ${temperature}: another seed gives other passages, so the score itself is noisy.`;
}
