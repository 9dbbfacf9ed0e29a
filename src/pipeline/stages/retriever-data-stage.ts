import { join } from 'node:path';
import { REFUSAL_WORDS, ROW_REFUSALS, type RowCounts } from '../../data/index.ts';
import { writeRetrieverData } from '../../generate/index.ts';
import { type LeftOut, leftOutOf } from '../../report/index.ts';
import { trainsEncoder } from '../recipe/recipe.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import { retrieverRowsKey } from '../run/alignment-inputs.ts';
import { copiesToMake, many, type QueryCounts, TOKEN_BYTES, written } from '../run/estimates.ts';
import { runtimeCopies } from '../run/model-facts.ts';
import type { AlignmentContext, AlignmentStage, WritingArm } from '../run/stage.ts';
import { armInputs, armSampling, isServed, openArmWriter } from './arm-writers.ts';

/** The stage that writes the rows of the retriever. */
export const ROWS_STAGE = 'retriever-data';

/**
 * The LLM that expands the training rows: the aligned one of this round; if the retriever comes first, the one that this round starts
 * from.
 */
export function rowsWriter(context: AlignmentContext): { context: AlignmentContext; arm: WritingArm } {
  if (context.recipe.order === 'generator-first') return { context, arm: 'aligned' };
  return context.before === undefined ? { context, arm: 'zeroShot' } : { context: context.before, arm: 'aligned' };
}

function seedOf({ retriever, seed }: Recipe): number {
  return retriever.seed ?? seed;
}

/** Expands the queries of the training rows as the arms are expanded. */
export function retrieverDataStage(order: Recipe['order']): AlignmentStage {
  return {
    name: ROWS_STAGE,
    version: 1,
    wanted: (recipe) => recipe.order === order && trainsEncoder(recipe),
    settings: ({ recipe, prompt }) => ({
      ...{ prompt: prompt.text, ...armSampling(recipe), seed: seedOf(recipe), dev: recipe.retriever.dev },
    }),
    inputs(context) {
      const { context: from, arm } = rowsWriter(context);
      return { writer: armInputs(from, arm), rows: retrieverRowsKey(context.data, context.recipe) };
    },
    dataChecks: ({ data }) => [
      {
        input: 'rows of the retriever',
        async find() {
          let count = 0;
          for await (const _row of (await data.retrieverRows()).rows()) count++;
          return `${count} rows`;
        },
      },
    ],
    estimate(recipe, { counts, rates }) {
      const { rows } = counts;
      const { samples, maxTokens: limit } = recipe.expansion;
      const rate = isServed(recipe) ? rates.generation : rates.embedded;
      const cost = written(many(rows, 'row'), { texts: rows * samples, limit, rate });
      return { ...cost, bytes: rowsBytes(recipe, counts, hasGivenNegatives(recipe) ? 2 : 1) };
    },
    files: async (recipe, { generator }) =>
      isServed(recipe) ? [] : copiesToMake(await runtimeCopies(generator, recipe.generator.gpu)),
    async run(context, folder) {
      const { recipe, data, prompt, options } = context;
      const { samples, ...sampling } = armSampling(recipe);
      const from = rowsWriter(context);
      const generator = await openArmWriter(from.context, from.arm);
      try {
        const { file, devFile, manifest, texts, source, ...result } = await writeRetrieverData({
          source: await data.retrieverRows(),
          ...{ generator, prompt, sampling, samples, seed: seedOf(recipe) },
          ...{ devShare: recipe.retriever.dev, devSeed: seedOf(recipe) },
          out: join(folder, 'retriever.jsonl'),
          signal: options.signal,
          progress: options.progress,
        });
        const hasDev = devFile !== undefined && result.rows.dev > 0;
        const leftOut = [
          ...leftOutRows(source),
          ...leftOutOf(result.rows.train + result.rows.dev, { 'rows without an expansion': result.withoutExpansions }),
        ];
        return {
          outputs: { rows: file, ...(hasDev && { dev: devFile }) },
          result: { generator: generator.id, ...result, leftOut },
        };
      } finally {
        await generator.close();
      }
    },
  };
}

/** Whether the rows come with a negative, because they are read from a file. */
export function hasGivenNegatives({ retriever, data }: Recipe): boolean {
  return retriever.rows !== undefined || (data.kind === 'beir' && data.triples !== undefined);
}

/** Bytes of a file of rows: their expansions at the limit, and documents of mean length. @param documents per row */
export function rowsBytes({ expansion }: Recipe, { rows, documentTokens }: QueryCounts, documents: number): number {
  return rows * TOKEN_BYTES * (expansion.samples * expansion.maxTokens + documents * documentTokens);
}

function leftOutRows({ read, leftOut }: RowCounts): LeftOut[] {
  return leftOutOf(
    read,
    Object.fromEntries(ROW_REFUSALS.map((refusal) => [`rows ${REFUSAL_WORDS[refusal]}`, leftOut[refusal]])),
  );
}
