import { join } from 'node:path';
import { openRetrieverSource } from '../../data/index.ts';
import { type LeftOut, leftOutOf } from '../../report/index.ts';
import { DROP_REASONS, DROP_WORDS, mineNegatives, openEncoder, rangeOf, SEARCH_FORMATS } from '../../retrieve/index.ts';
import { trainsEncoder } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { encoderOf } from '../run/encoders.ts';
import { encodingSeconds, many, NUMBER_BYTES } from '../run/estimates.ts';
import { check } from '../run/recipe-checks.ts';
import { type AlignmentContext, type AlignmentStage, hashOf, outputOf } from '../run/stage.ts';
import { ROWS_STAGE, rowsBytes } from './retriever-data-stage.ts';

/** The stage that adds hard negatives to the rows of the retriever. */
const MINE_STAGE = 'mine';

/** Mining decides itself how deep it searches, and which documents are no negatives. */
const ALL = { depth: 1000, keepSelf: true };

/** The training rows of the retriever, with mined negatives if there are any: their file. */
export function trainingRows(context: AlignmentContext): string {
  return outputOf(context, MINE_STAGE, 'rows') ?? outputOf(context, ROWS_STAGE, 'rows')!;
}

/** Its hash, for keys. */
export function trainingRowsHash(context: AlignmentContext): string | undefined {
  return hashOf(context, MINE_STAGE, 'rows') ?? hashOf(context, ROWS_STAGE, 'rows');
}

/** Mines hard negatives for the training rows with the encoder as it is before this round trains it. */
export function mineStage(order: Recipe['order']): AlignmentStage {
  return {
    name: MINE_STAGE,
    version: 1,
    wanted: (recipe) => recipe.order === order && recipe.mine.enabled && trainsEncoder(recipe),
    settings(context) {
      const { similarity, expansionRole, k1, b, queryRepeats } = encoderOf(context).retrieval;
      return {
        ...settingsOf(context.recipe),
        ...{ alpha: context.recipe.retriever.alpha, similarity, expansionRole, k1, b, queryRepeats },
        formats: SEARCH_FORMATS,
      };
    },
    inputs: (context) => ({
      encoder: encoderOf(context).key,
      rows: hashOf(context, ROWS_STAGE, 'rows'),
      corpus: context.data.rowsCorpus && context.data.hashes.corpus,
    }),
    checks: (recipe) => [check(MINE_STAGE, () => describeMining(recipe))],
    estimate(recipe, { counts, encoder }) {
      const { rows, corpus } = counts;
      const { samples } = recipe.expansion;
      return {
        ...{ work: many(rows, 'row'), tokens: 0 },
        bytes: rowsBytes(recipe, counts, 1 + recipe.mine.negatives) + corpus * encoder.dimensions * NUMBER_BYTES,
        seconds: encodingSeconds(corpus + rows * (1 + samples), encoder),
      };
    },
    async run(context, folder) {
      const { recipe, data, models, options } = context;
      const { signal, progress } = options;
      const retrieval = { ...encoderOf(context).retrieval, alpha: recipe.retriever.alpha, ...ALL };
      const rows = outputOf(context, ROWS_STAGE, 'rows')!;
      const { file, manifest, source, dropped, candidates, ...result } = await mineNegatives({
        source: await openRetrieverSource({ rows, split: '', sampleSeed: 0, allowNoQuery: true, signal }),
        corpus: data.rowsCorpus,
        judgements: judgementsOf(context),
        out: join(folder, 'retriever.jsonl'),
        settings: settingsOf(recipe),
        retrieval,
        openEncoder: () => openEncoder(retrieval, models.store, signal, progress),
        ...{ signal, progress },
      });
      const leftOut: LeftOut[] = [
        ...leftOutOf(
          candidates,
          Object.fromEntries(DROP_REASONS.map((reason) => [`candidates: ${DROP_WORDS[reason]}`, dropped[reason]])),
        ),
        ...leftOutOf(result.rows, { 'rows without a mined negative': result.none }),
      ];
      return { outputs: { rows: file }, result: { ...result, candidates, leftOut } };
    },
  };
}

/** @throws UsageError for settings that do not go together */
function describeMining(recipe: Recipe): string {
  const { rangeMin, rangeMax } = rangeOf(settingsOf(recipe), 1);
  return `${recipe.mine.negatives} negatives from ranks ${rangeMin + 1} to ${rangeMax}`;
}

function settingsOf({ mine, seed }: Recipe) {
  const { enabled: _wanted, ...settings } = mine;
  return { ...settings, seed: mine.seed ?? seed };
}

/** All judgements of the data set, if the rows are its queries. */
async function* judgementsOf({ data, options }: AlignmentContext) {
  const { rowsCorpus: dataset } = data;
  if (dataset === undefined) return;
  for (const split of await dataset.splits()) yield await dataset.qrels(split, options.signal);
}
