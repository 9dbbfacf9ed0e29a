import { join } from 'node:path';
import { type Document, documentText, readExpansions, writeRun } from '../../data/index.ts';
import {
  type ArmTopics,
  EVALUATION_FORMAT,
  type EvaluationData,
  type Judgement,
  type Topics,
  withExpansions,
} from '../../evaluate/index.ts';
import { displayName, MEASURES_FORMAT, parseQualityMeasure, type Run } from '../../measures/index.ts';
import { CorpusSearch, openEncoder, SEARCH_FORMATS } from '../../retrieve/index.ts';
import { isServerAddress } from '../../servers/index.ts';
import { throwIfAborted, UsageError, writeDurably } from '../../system/index.ts';
import { isTuned } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { judgingEncoders, retrievalOf } from '../run/alignment-inputs.ts';
import { type ArmName, armOf, armsOf, writersOf } from '../run/arms.ts';
import { comparedEncoders, untrainedEncoderOf } from '../run/encoders.ts';
import { type Estimate, encoderWeights, encodingSeconds, type Known, many, NUMBER_BYTES } from '../run/estimates.ts';
import type { ModelFacts } from '../run/model-facts.ts';
import { check, loadCheck, type RecipeCheck } from '../run/recipe-checks.ts';
import { type AlignmentContext, type AlignmentStage, outputOf } from '../run/stage.ts';
import { expansionsName, generationSeeds, loadArmTopics } from './expansion-stages.ts';
import { type Judged, judgeAllArms, judgeControls, judgeElsewhere } from './judgements.ts';

/** Tunes alpha per arm on the dev queries, and scores all arms on the test queries. */
export const evaluateStage: AlignmentStage = {
  name: 'evaluate',
  version: 1,
  rounds: 'best',
  wanted: () => true,
  settings(context) {
    const { recipe } = context;
    const { dev: _dev, test: _test, dataset: _byHash, judges: _byContent, ...evaluation } = recipe.evaluation;
    const { similarity, expansionRole } = untrainedEncoderOf(context).retrieval;
    return {
      formats: { measures: MEASURES_FORMAT, evaluation: EVALUATION_FORMAT, ...SEARCH_FORMATS },
      ...{ ...evaluation, seed: evaluation.seed ?? recipe.seed, similarity, expansionRole },
    };
  },
  inputs(context) {
    const { recipe, data, models } = context;
    const { hashes } = data.judged;
    const written = writersOf(recipe).flatMap((arm) => {
      const outputs = context.done.get(`expand-${arm}`)?.record.outputs ?? {};
      return Object.entries(outputs).map(([name, { sha256 }]) => [`${arm} ${name}`, sha256]);
    });
    return {
      judges: recipe.evaluation.judges.map((name) => models.judges[name] ?? name),
      ...comparedEncoders(context),
      corpus: hashes.corpus,
      queries: hashes.queries,
      qrels: [hashes.dev, hashes.test],
      expansions: Object.fromEntries(written),
    };
  },
  checks(recipe) {
    const { measure, judges } = recipe.evaluation;
    return [
      check('evaluation.measure', () => parseQualityMeasure(measure).displayName),
      ...(judges.length > 0 ? [check('evaluation.judges', () => checkJudges(recipe))] : []),
    ];
  },
  dataChecks: (context) => [{ input: 'queries and corpus to judge', find: () => checkJudged(context) }],
  modelChecks: (context) => judgingEncoders(context.recipe).map((name) => judgeCheck(context, name)),
  estimate: estimateEvaluation,
  files: (recipe, { encoder, judges }) => [encoder, ...judges].flatMap((one) => encoderWeights(one, recipe)),
  async run(context, folder) {
    const { recipe, data, models, options } = context;
    const { signal, progress } = options;
    const arms = await loadArms(context);
    const { store } = models;
    const { retrieval, open } = untrainedEncoderOf(context);
    const encoder = await open();
    const task = progress.task('evaluating arms', searchesOf(context, arms), 'arms');
    const search = new CorpusSearch(data.judged.dataset, retrieval, { signal, progress, store, encoder });
    try {
      const onArm = () => task.advance();
      const runs = new RunFiles(folder, generationSeeds(recipe));
      const main = await judgeAllArms(context, search, arms, {
        alphas: recipe.evaluation.armAlphas,
        onRun: (arm, run, at) => runs.write(arm, run, at),
        onArm,
      });
      const controls = recipe.evaluation.controls ? await judgeControls(context, search, arms, main) : undefined;
      const judges: Judgement[] = [];
      for (const name of recipe.evaluation.judges) {
        throwIfAborted(signal);
        judges.push(await judgeElsewhere(context, search, name, arms.filter(isOwn), onArm));
      }
      const size = (await search.retriever('dense')).size;
      const evaluation = await gather(context, arms, main, size);
      const file = join(folder, 'evaluation.json');
      await writeDurably(file, `${JSON.stringify({ ...evaluation, controls, judges }, null, 1)}\n`);
      const facts = { id: encoder.id, fingerprint: encoder.fingerprint, ...encoder.settings };
      return { outputs: { evaluation: file, ...runs.outputs }, result: { encoder: facts } };
    } finally {
      task.done();
      await search.close();
    }
  },
};

/** Only the main encoder can be a server: a recipe holds the name of one server's model only. */
function checkJudges({ encoder, evaluation }: Recipe): string {
  const server = evaluation.judges.find((name) => isServerAddress(name) && name !== encoder.model);
  if (server === undefined) return evaluation.judges.join(', ');
  throw new UsageError(`${server} is a server, but only the main encoder can be a server`, {
    fix: 'Use bm25, an encoder in the store, or the folder of an encoder.',
  });
}

/** Reads each document, to find damaged documents, and ids that a run file cannot hold, before hours of work. */
async function checkJudged(context: AlignmentContext): Promise<string> {
  const { data, recipe, options } = context;
  const test = await loadArmTopics(context, 'test');
  const dev = isTuned(recipe) ? await loadArmTopics(context, 'dev') : undefined;
  const documents = await data.judged.dataset.count(options.signal);
  return `${dev?.queries.length ?? 0} dev and ${test.queries.length} test queries, ${documents} documents`;
}

function judgeCheck({ recipe, models, options }: AlignmentContext, name: string): RecipeCheck {
  const settings = retrievalOf(recipe, name, options);
  return loadCheck(`judge ${name}`, () => openEncoder(settings, models.store, options.signal));
}

/** Bytes of a line of a run file. */
const HIT_BYTES = 40;
/** Dot products of 384 dimensions per second, the fixed seconds of a search, and these dimensions. */
const [SEARCHED, SEARCH_SECONDS, SEARCHED_WIDTH] = [2e8, 2, 384];

/**
 * Estimates the evaluation. Each encoder embeds the corpus; each arm is searched once per alpha on dev, and once per
 * seed on test.
 */
function estimateEvaluation(recipe: Recipe, { counts, encoder, judges }: Known): Estimate {
  const { corpus, test } = counts;
  const { alphas, depth, judges: named } = recipe.evaluation;
  const [arms, seeds] = [writersOf(recipe).length, generationSeeds(recipe).length];
  const perArm = (isTuned(recipe) ? alphas.length : 0) + seeds;
  const trained = armsOf(recipe).filter((name) => armOf(name).encoder !== 'own');
  const ofTrained = trained.reduce((sum, name) => sum + (armOf(name).writer === undefined ? 1 : perArm), 0);
  const searches = arms * perArm * (1 + named.length) + ofTrained;
  const newVectors = new Set(trained.map((name) => armOf(name).encoder)).size;
  const encoders = [encoder, ...judges, ...Array.from({ length: newVectors }, () => encoder)];
  const sum = (of: (one: ModelFacts) => number) => encoders.reduce((total, one) => total + of(one), 0);
  const search = SEARCH_SECONDS + (corpus * test * (encoder.dimensions / SEARCHED_WIDTH)) / SEARCHED;
  return {
    ...{ work: `${many(searches, 'search', 'searches')} of ${many(corpus, 'document')}`, tokens: 0 },
    bytes:
      sum(({ dimensions }) => corpus * dimensions * NUMBER_BYTES) +
      armsOf(recipe).length * seeds * test * depth * HIT_BYTES,
    seconds: sum((one) => encodingSeconds(corpus, one)) + searches * search,
  };
}

/** Loads the arms, with their expansions joined by query id. */
async function loadArms(context: AlignmentContext): Promise<ArmTopics[]> {
  const { recipe } = context;
  const seeds = generationSeeds(recipe);
  const dev = isTuned(recipe) ? await loadArmTopics(context, 'dev') : undefined;
  const test = await loadArmTopics(context, 'test');
  const arms: ArmTopics[] = [{ name: 'raw', dev: undefined, test: [test] }];
  for (const name of armsOf(recipe).slice(1)) {
    const { writer } = armOf(name);
    if (writer === undefined) {
      arms.push({ name, dev: undefined, test: [test] });
      continue;
    }
    const read = async (topics: Topics, split: 'dev' | 'test', seed: number) =>
      withExpansions(topics, await readExpansions(outputOf(context, `expand-${writer}`, expansionsName(split, seed))!));
    const expanded: Topics[] = [];
    for (const seed of seeds) expanded.push(await read(test, 'test', seed));
    arms.push({ name, dev: dev && (await read(dev, 'dev', seeds[0]!)), test: expanded });
  }
  return arms;
}

/** Whether an arm is searched by the recipe's own encoder, with which other judges are compared. */
function isOwn({ name }: ArmTopics): boolean {
  return armOf(name as ArmName).encoder === 'own';
}

/** Whether the report shows the arm's texts: those of a trained retriever's arm are those of another arm. */
function isWritten(name: ArmName): boolean {
  const { writer, encoder } = armOf(name);
  return writer !== undefined && encoder === 'own';
}

/** How often an arm is scored. */
function searchesOf({ recipe }: AlignmentContext, arms: readonly ArmTopics[]): number {
  return arms.length + recipe.evaluation.judges.length * arms.filter(isOwn).length;
}

/** The evaluation as plain data, with the texts that the report shows. */
async function gather(
  context: AlignmentContext,
  arms: readonly ArmTopics[],
  { judgement, scored }: Judged,
  documents: number,
): Promise<Omit<EvaluationData, 'judges' | 'controls'>> {
  const { recipe, data, options } = context;
  const test = arms[0]!.test[0]!;
  const relevant = await relevantTexts(data.judged.dataset.documents(options.signal), test);
  const expansions = new Map(
    arms
      .filter(({ name }) => isWritten(name as ArmName))
      .map((arm) => [arm.name, new Map(arm.test[0]!.queries.map((query) => [query.id, query.expansions]))]),
  );
  return {
    dataset: {
      name: data.judged.name,
      documents,
      dev: arms[1]!.dev?.queries.length ?? 0,
      test: test.queries.length,
    },
    measure: displayName(recipe.evaluation.measure),
    seeds: generationSeeds(recipe),
    main: judgement,
    queries: test.queries.map(({ id, text }) => ({
      id,
      text,
      relevant: relevant.get(id) ?? [],
      texts: Object.fromEntries([...expansions].map(([arm, byId]) => [arm, [...(byId.get(id) ?? [])]])),
      values: Object.fromEntries(scored.map(({ name, values }) => [name, values.get(id) ?? 0])),
    })),
  };
}

const SHOWN_DOCUMENTS = 3;
const SHOWN_CHARACTERS = 300;

/** The texts of a few relevant documents per query. */
async function relevantTexts(documents: AsyncIterable<Document>, { queries, qrels }: Topics) {
  const wanted = new Map<string, string[]>();
  for (const { id } of queries) {
    const graded = [...(qrels.get(id) ?? [])].filter(([, grade]) => grade > 0).sort(([, a], [, b]) => b - a);
    for (const [document] of graded.slice(0, SHOWN_DOCUMENTS)) {
      wanted.set(document, [...(wanted.get(document) ?? []), id]);
    }
  }
  const texts = new Map<string, string[]>();
  for await (const document of documents) {
    for (const query of wanted.get(document.id) ?? []) {
      texts.set(query, [...(texts.get(query) ?? []), documentText(document).slice(0, SHOWN_CHARACTERS)]);
    }
  }
  return texts;
}

/** TREC run files of the main judge, one per arm and seed, each written after its search. */
class RunFiles {
  readonly #folder: string;
  readonly #seeds: readonly number[];
  /** Paths by output name. */
  readonly outputs: Record<string, string> = {};

  constructor(folder: string, seeds: readonly number[]) {
    this.#folder = folder;
    this.#seeds = seeds;
  }

  async write({ name, test }: ArmTopics, run: Run, at: number): Promise<void> {
    const tag = test.length === 1 ? name : `${name}-${this.#seeds[at]}`;
    const file = join(this.#folder, 'runs', `${tag}.run`);
    await writeRun(file, run, `llm-qe-${tag}`);
    this.outputs[`run ${tag}`] = file;
  }
}
