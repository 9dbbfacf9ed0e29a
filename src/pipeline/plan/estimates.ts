import { isTuned } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import type { Engine, StageName } from '../run/stages.ts';
import { generationSeeds } from '../stages/expansion-stages.ts';
import { adapterParameters, type ModelFacts } from './model-facts.ts';

/** Queries of each split and documents of the corpus; Infinity where nobody knows. */
export interface QueryCounts {
  train: number;
  dev: number;
  test: number;
  corpus: number;
}

/** Tokens a second; NaN where nobody knows. */
export interface Rates {
  /** Of the servers. */
  generation: number;
  /** Of the embedded runtime, with the LLM that is aligned. */
  embedded: number;
  training: number;
}

/** All that the figures of the stages are reckoned from. */
export interface Known {
  engine: Engine;
  counts: QueryCounts;
  rates: Rates;
  generator: ModelFacts;
  answerGenerator: ModelFacts | undefined;
  encoder: ModelFacts;
  /** The other encoders that judge. */
  judges: readonly ModelFacts[];
  /** Tokens of the prompt, with a query in it. */
  prompt: number;
}

/** What a stage takes at most: every text is reckoned at its token limit. Not finite where it is not known. */
export interface Estimate {
  stage: StageName;
  /** Queries, or pairs, and what is made of them. */
  work: string;
  tokens: number;
  /** Bytes it leaves on the disk. */
  bytes: number;
  seconds: number;
}

/** A token of English in bytes of JSON. */
const TOKEN_BYTES = 4.6;
/** What a record holds beside its text. */
const RECORD_BYTES = 240;
/** A candidate's rewards; a pair with its texts and ids. */
const [REWARD_BYTES, PAIR_BYTES] = [700, 1500];
/** A line of a run file. */
const HIT_BYTES = 40;
/** A number in f32, and that number with the two means that AdamW keeps of it. */
const [NUMBER_BYTES, TRAINED_BYTES] = [4, 12];
/** Checkpoints that both engines keep: the last and the best. */
const CHECKPOINTS = 2;
/** Texts a second that the default encoder embeds on two cores, and its size: 6 layers of 384 dimensions. */
const [ENCODED, ENCODER_SIZE, ENCODER_WIDTH] = [300, 6 * 384 ** 2, 384];
/** Products of a query with a document of 384 dimensions a second, and what a search takes beside them. */
const [SEARCHED, SEARCH_SECONDS] = [2e8, 2];

/** Reckons each stage of a recipe. */
export function estimateStages(recipe: Recipe, known: Known): Estimate[] {
  const { candidates, answers, expansion, pairs } = recipe;
  const { train, dev, test } = known.counts;
  const perQuery = candidates.samples * candidates.temperatures.length;
  const pairCount = Math.min(pairs.pairs, train * pairs.pairsPerQuery);
  const seeds = generationSeeds(recipe).length;
  const texts = (dev + seeds * test) * expansion.samples;
  const [byWriter, byAnswerer] = writingRates(recipe, known);
  const sampled = { texts: train * perQuery, limit: candidates.maxTokens, rate: byWriter };
  const answered = { texts: train, limit: answers.maxTokens, rate: byAnswerer };
  const expanded = { texts, limit: expansion.maxTokens, rate: known.rates.embedded };
  return [
    written('candidates', `${many(train)} queries, ${perQuery} each`, sampled),
    ...(answers.enabled ? [written('answers', `${many(train)} queries`, answered)] : []),
    rewarded(train, perQuery, known),
    {
      ...{ stage: 'pairs', work: `at most ${many(pairCount)} pairs`, tokens: 0 },
      ...{ bytes: pairCount * PAIR_BYTES, seconds: train / 500 },
    },
    ...(recipe.sft.enabled ? [trained('sft', pairCount, recipe, known)] : []),
    trained('dpo', pairCount, recipe, known),
    ...armsOf(recipe).map((arm) =>
      written(`expand-${arm}`, `${many(dev)} dev, ${many(test)} test queries, ${seeds} seeds`, expanded),
    ),
    evaluated(recipe, known),
  ];
}

function armsOf({ sft }: Recipe) {
  return sft.enabled ? (['zeroShot', 'sft', 'aligned'] as const) : (['zeroShot', 'aligned'] as const);
}

/** Tokens a second of what writes candidates, and of what writes answers. */
function writingRates({ generator, answerGenerator }: Recipe, known: Known): [number, number] {
  const { generation, embedded } = known.rates;
  const byWriter = generator.servers.length > 0 ? generation : embedded;
  if (answerGenerator === undefined) return [byWriter, byWriter];
  if (answerGenerator.servers.length > 0) return [byWriter, generation];
  return [byWriter, (embedded * known.generator.parameters) / (known.answerGenerator?.parameters ?? Number.NaN)];
}

function written(
  stage: StageName,
  work: string,
  { texts, limit, rate }: { texts: number; limit: number; rate: number },
): Estimate {
  const tokens = texts * limit;
  return { stage, work, tokens, bytes: texts * (limit * TOKEN_BYTES + RECORD_BYTES), seconds: tokens / rate };
}

/** Candidates are embedded, and with them the query, its gold document and its answer. */
function rewarded(train: number, perQuery: number, { encoder }: Known): Estimate {
  const candidates = train * perQuery;
  return {
    ...{ stage: 'reward', work: `${many(candidates)} candidates`, tokens: 0 },
    ...{ bytes: candidates * REWARD_BYTES, seconds: encodingSeconds(candidates + 3 * train, encoder) },
  };
}

/** By size: layers · dimensions². */
function encodingSeconds(texts: number, { layers, dimensions }: ModelFacts): number {
  return (texts / ENCODED) * ((layers * dimensions ** 2) / ENCODER_SIZE);
}

function trained(stage: 'sft' | 'dpo', pairs: number, recipe: Recipe, known: Known): Estimate {
  const { epochs, maxLength } = recipe[stage];
  const { prompt, rates } = known;
  const answer = Math.max(0, Math.min(recipe.candidates.maxTokens, maxLength - prompt));
  const sides = stage === 'dpo' ? 2 : 1;
  const tokens = pairs * epochs * (prompt + sides * answer);
  const bytes = trainedBytes(recipe[stage], known, tokens * TOKEN_BYTES);
  return { stage, work: `${many(pairs)} pairs, ${epochs} epochs`, tokens, bytes, seconds: tokens / rates.training };
}

/** The result and its checkpoints; of TRL also its examples, and the base as it reads it. */
function trainedBytes(settings: Recipe['dpo'] | Recipe['sft'], { engine, generator }: Known, examples: number): number {
  const { parameters, isGguf } = generator;
  if (settings.full) {
    const runtime = 2 * parameters;
    return CHECKPOINTS * TRAINED_BYTES * parameters + NUMBER_BYTES * parameters + runtime;
  }
  const adapter = (CHECKPOINTS * TRAINED_BYTES + NUMBER_BYTES) * adapterParameters(generator, settings);
  if (engine === 'local') return adapter;
  const base = isGguf === undefined ? Number.NaN : isGguf ? NUMBER_BYTES * parameters : 0;
  return adapter + examples + base;
}

/** Each encoder embeds the corpus; each arm is searched once an alpha on dev, and once a seed on test. */
function evaluated(recipe: Recipe, { counts, encoder, judges }: Known): Estimate {
  const { corpus, test } = counts;
  const { alphas, depth, judges: named } = recipe.evaluation;
  const [arms, seeds] = [armsOf(recipe).length, generationSeeds(recipe).length];
  const searches = arms * ((isTuned(recipe) ? alphas.length : 0) + seeds) * (1 + named.length);
  const encoders = [encoder, ...judges];
  const sum = (of: (one: ModelFacts) => number) => encoders.reduce((total, one) => total + of(one), 0);
  const search = SEARCH_SECONDS + (corpus * test * (encoder.dimensions / ENCODER_WIDTH)) / SEARCHED;
  return {
    ...{ stage: 'evaluate', work: `${searches} searches of ${many(corpus)} documents`, tokens: 0 },
    bytes: sum(({ dimensions }) => corpus * dimensions * NUMBER_BYTES) + (1 + arms) * seeds * test * depth * HIT_BYTES,
    seconds: sum((one) => encodingSeconds(corpus, one)) + searches * search,
  };
}

function many(count: number): string {
  return Number.isFinite(count) ? String(count) : 'unknown';
}
