import { join } from 'node:path';
import { z } from 'zod';
import { evaluationSchema } from '../../evaluate/index.ts';
import { readBoundedJson } from '../../files/index.ts';
import { DEFAULT_SEED, isThere } from '../../system/index.ts';
import {
  type ArmFiles,
  type EvaluationFiles,
  type EvaluationSource,
  MOST_JSON_BYTES,
  noTexts,
} from './evaluation-files.ts';

/** What `manifest.json` tells of the judged data. */
const manifestSchema = z.object({
  recipe: z.object({
    seed: z.number(),
    data: z.object({ folder: z.string().optional(), testSplit: z.string().optional() }),
    evaluation: z.object({
      seed: z.number().optional(),
      dataset: z.object({ folder: z.string(), testSplit: z.string() }).optional(),
    }),
  }),
});

/** Reads what the stage `evaluate` of an alignment wrote. */
export async function readAlignment({ folder }: EvaluationSource): Promise<EvaluationFiles> {
  const fix = 'Run `llm-qe align` again; it repeats only the evaluation.';
  const options = { fix, mostBytes: MOST_JSON_BYTES };
  const file = join(folder, 'evaluation.json');
  const { main, measure, queries, seeds, dataset } = await readBoundedJson(file, evaluationSchema, {
    ...options,
    what: 'an evaluation',
  });
  const manifest = await readManifest(join(folder, 'manifest.json'), fix);
  const texts = new Map(queries.map(({ id, texts: written }) => [id, written]));
  const arms: ArmFiles[] = [];
  for (const { name, description } of main.arms) {
    const run = await firstThere([name, `${name}-${seeds[0]}`].map((tag) => join(folder, 'runs', `${tag}.run`)));
    const values = new Map(queries.map((query) => [query.id, query.values[name] ?? 0]));
    const isWritten = queries.some((query) => query.texts[name] !== undefined);
    arms.push({
      ...{ name, description, run, values: new Map([[measure, values]]) },
      expansions: isWritten ? async (query) => texts.get(query)?.[name] ?? [] : noTexts,
    });
  }
  const recipe = manifest?.recipe;
  const other = recipe?.evaluation.dataset;
  const judged = other?.folder ?? recipe?.data.folder;
  const test = main.tests[0];
  return {
    arms,
    pair: test === undefined ? undefined : [test.baseline, test.arm],
    measure,
    seed: recipe?.evaluation.seed ?? recipe?.seed ?? DEFAULT_SEED,
    texts: new Map(queries.map(({ id, text }) => [id, text])),
    relevant: undefined,
    dataset: {
      ...{ name: dataset.name, documents: dataset.documents },
      split: other?.testSplit ?? recipe?.data.testSplit ?? 'test',
      folders: judged === undefined ? [] : [judged],
    },
  };
}

async function readManifest(file: string, fix: string) {
  if (!(await isThere(file))) return undefined;
  return readBoundedJson(file, manifestSchema, { what: 'the manifest of a run', fix, mostBytes: MOST_JSON_BYTES });
}

async function firstThere(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) if (await isThere(file)) return file;
  return undefined;
}
