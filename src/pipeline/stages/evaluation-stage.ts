import { join } from 'node:path';
import { type Document, documentText, readExpansions, writeRun } from '../../data/index.ts';
import type { ArmTopics, EvaluationData, Judgement } from '../../evaluate/index.ts';
import { type Topics, withExpansions } from '../../evaluate/index.ts';
import { displayName, type Run } from '../../measures/index.ts';
import { CorpusSearch } from '../../retrieve/index.ts';
import { throwIfAborted, writeDurably } from '../../system/index.ts';
import { isTuned } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { type AlignmentContext, type AlignmentStage, type ArmName, outputOf } from '../run/stages.ts';
import { expansionsName, generationSeeds, loadArmTopics } from './expansion-stages.ts';
import { type Judged, judgeArms, judgeControls, judgeElsewhere } from './judgements.ts';

/** The arms that a recipe has, in the order of the tables. */
function armsOf(recipe: Recipe): ArmName[] {
  return recipe.sft.enabled ? ['raw', 'zeroShot', 'sft', 'aligned'] : ['raw', 'zeroShot', 'aligned'];
}

/** Tunes alpha per arm on the development queries, and scores all arms on the test queries. */
export const evaluateStage: AlignmentStage = {
  name: 'evaluate',
  wanted: () => true,
  settings(context) {
    const { recipe, data, models } = context;
    const { dev: _dev, test: _test, dataset: _byHash, seed = recipe.seed, ...evaluation } = recipe.evaluation;
    const { hashes } = data.judged;
    const written = armsOf(recipe).flatMap((arm) => {
      if (arm === 'raw') return [];
      const outputs = context.done.get(`expand-${arm}`)?.record.outputs ?? {};
      return Object.entries(outputs).map(([name, { sha256 }]) => [`${arm} ${name}`, sha256]);
    });
    return {
      ...{ ...evaluation, seed },
      judges: evaluation.judges.map((name) => models.judges[name] ?? name),
      encoder: models.encoder.fingerprint,
      similarity: models.retrieval.similarity,
      expansionRole: models.retrieval.expansionRole,
      corpus: hashes.corpus,
      queries: hashes.queries,
      qrels: [hashes.dev, hashes.test],
      expansions: Object.fromEntries(written),
    };
  },
  async run(context, folder) {
    const { recipe, data, models, options } = context;
    const { signal, progress } = options;
    const arms = await loadArms(context);
    const task = progress.task('evaluating arms', arms.length * (1 + recipe.evaluation.judges.length), 'arms');
    const { store, encoder, retrieval } = models;
    const search = new CorpusSearch(data.judged.dataset, retrieval, { signal, progress, store, encoder });
    try {
      const onArm = () => task.advance();
      const runs = new RunFiles(folder, generationSeeds(recipe));
      const main = await judgeArms(context, search, 'dense', arms, {
        alphas: recipe.evaluation.armAlphas,
        onRun: (arm, run, at) => runs.write(arm, run, at),
        onArm,
      });
      const controls = recipe.evaluation.controls ? await judgeControls(context, search, arms, main) : undefined;
      const judges: Judgement[] = [];
      for (const name of recipe.evaluation.judges) {
        throwIfAborted(signal);
        judges.push(await judgeElsewhere(context, search, name, arms, onArm));
      }
      const size = (await search.retriever('dense')).size;
      const evaluation = await gather(context, arms, main, size);
      const file = join(folder, 'evaluation.json');
      await writeDurably(file, `${JSON.stringify({ ...evaluation, controls, judges }, null, 1)}\n`);
      return { outputs: { evaluation: file, ...runs.outputs }, result: {} };
    } finally {
      task.done();
      await search.close();
    }
  },
};

/** Arms with their expansions joined by query id. */
async function loadArms(context: AlignmentContext): Promise<ArmTopics[]> {
  const { recipe } = context;
  const seeds = generationSeeds(recipe);
  const dev = isTuned(recipe) ? await loadArmTopics(context, 'dev') : undefined;
  const test = await loadArmTopics(context, 'test');
  const arms: ArmTopics[] = [{ name: 'raw', dev: undefined, test: [test] }];
  for (const arm of armsOf(recipe)) {
    if (arm === 'raw') continue;
    const read = async (topics: Topics, split: 'dev' | 'test', seed: number) =>
      withExpansions(topics, await readExpansions(outputOf(context, `expand-${arm}`, expansionsName(split, seed))!));
    const expanded: Topics[] = [];
    for (const seed of seeds) expanded.push(await read(test, 'test', seed));
    arms.push({ name: arm, dev: dev && (await read(dev, 'dev', seeds[0]!)), test: expanded });
  }
  return arms;
}

/** The evaluation as plain data, with the texts of what is shown. */
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
    arms.slice(1).map((arm) => [arm.name, new Map(arm.test[0]!.queries.map((query) => [query.id, query.expansions]))]),
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

/** Texts of a few relevant documents of each query. */
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

/** TREC run files of the main judge, one an arm and seed, each written when it was searched. */
class RunFiles {
  readonly #folder: string;
  readonly #seeds: readonly number[];
  /** Paths by what they are. */
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
