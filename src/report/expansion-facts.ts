import { z } from 'zod';
import { VERDICT_THRESHOLDS } from '../evaluate/index.ts';
import { readStageManifest } from '../files/index.ts';

const factsSchema = z.object({
  generator: z.string().optional(),
  adapters: z.array(z.string()).optional(),
  prompt: z.object({ name: z.string(), text: z.string() }).optional(),
  /** Expansions a query. */
  samples: z.number().optional(),
  temperature: z.number().optional(),
  topP: z.number().optional(),
  topK: z.number().optional(),
  maxTokens: z.number().optional(),
  seed: z.number().optional(),
});
/** How expansions were written, as far as it is known. */
export type ExpansionFacts = {
  [Name in keyof z.output<typeof factsSchema>]?: z.output<typeof factsSchema>[Name] | undefined;
};

/** What the manifest beside a file of expansions says of how they were written; undefined if there is none. @throws DataError */
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

/** One sentence: `Expansions by smollm2, prompt q2d, 1 a query, temperature 1, top-p 0.9, at most 32 tokens, seed 42.` */
export function describeExpansions(facts: ExpansionFacts | undefined): string {
  if (facts === undefined || Object.keys(facts).length === 0) {
    return 'No manifest stands beside the expansions: which LLM wrote them, and how, is not known here.';
  }
  const { generator, adapters = [], prompt, samples, temperature, topP, topK, maxTokens, seed } = facts;
  const by = [generator ?? 'an LLM that the manifest does not name', ...adapters.map((path) => `the adapter ${path}`)];
  const parts = [
    `Expansions by ${by.join(' with ')}`,
    prompt && (prompt.name === 'own' ? 'a prompt of your own (see Settings)' : `prompt ${prompt.name}`),
    samples && `${samples} a query`,
    temperature !== undefined && (temperature === 0 ? 'the likeliest token each time' : `temperature ${temperature}`),
    temperature !== 0 && topP !== undefined && `top-p ${topP}`,
    temperature !== 0 && topK !== undefined && topK > 0 && `top-k ${topK}`,
    maxTokens !== undefined && `at most ${maxTokens} tokens`,
    seed !== undefined && `seed ${seed}`,
  ];
  return `${parts.filter((part) => typeof part === 'string').join(', ')}.`;
}

/** The same facts as a section of settings. */
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

/** A sentence on alpha, which an untuned one must have. */
export function describeAlpha(alpha: number | string, source: AlphaSource): string {
  const origin: Record<AlphaSource, string> = {
    default: 'is the published default and was not tuned for this data: another value may do better (`--alphas`)',
    given: 'was given; nothing here says how it was chosen',
    'other queries': 'was chosen on other queries (the development split), not on those scored here',
    dev: 'was chosen on the development queries, not on those scored here',
    'cross-validation': 'was chosen by cross-validation: for each query on the others, never on itself',
  };
  return `Alpha, the weight of the expansion in the query vector, is ${alpha}; it ${origin[source]}.`;
}

/** A sentence for a sample that is too small to say much; undefined for one that is not. */
export function describeSample(queries: number): string | undefined {
  if (queries >= VERDICT_THRESHOLDS.fewQueries) return undefined;
  return `Only ${queries} ${queries === 1 ? 'query was' : 'queries were'} scored: another sample can easily turn the sign of the change. Score at least ${VERDICT_THRESHOLDS.fewQueries}.`;
}

/** A sentence on the noise of sampled texts; undefined for texts that are not sampled. */
export function describeNoise(facts: ExpansionFacts | undefined): string | undefined {
  if (facts?.temperature === undefined || facts.temperature === 0) return undefined;
  const { samples, temperature } = facts;
  const passages = samples === undefined || samples === 1 ? 'One passage' : `${samples} passages`;
  return `${passages} a query at temperature ${temperature}: another seed gives other passages, so the score itself is noisy.`;
}
