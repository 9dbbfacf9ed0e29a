import { Hono } from 'hono';
import { z } from 'zod';
import { candidateSchema, type Message, pairSchema, querySchema, rewardSchema } from '../../data/index.ts';
import { readBoundedJson } from '../../files/index.ts';
import { RequestError } from '../../serve/index.ts';
import { DataError } from '../../system/index.ts';
import { metricsFile } from '../../train/index.ts';
import { readQuery } from '../http/request.ts';
import type {
  CandidateRow,
  PairAudit,
  PairRow,
  Rows,
  RunDifference,
  Scores,
  TextRow,
  TrainingCurves,
} from '../shapes/runs.ts';
import type { Studio } from '../studio.ts';
import { readCurves } from './run/curves.ts';
import { type ComparedRun, differenceOf } from './run/difference.ts';
import { Evaluations, scoresOf, textsOf } from './run/evaluations.ts';
import { factsOf } from './run/facts.ts';
import type { LineCounts } from './run/line-counts.ts';
import { findOutput, outputMadeFrom } from './run/outputs.ts';
import { RecordsById } from './run/records-by-id.ts';
import { reportScores } from './run/report-scores.ts';
import { RowFiles } from './run/row-file.ts';
import { readRunPage } from './run/run-page.ts';
import { fileInside, runPlace } from './run/run-place.ts';

/** The folder of a stage, where a run has several of one name. */
const stage = z.string().min(1).max(200).optional();
const stageSchema = z.object({ stage });
const rowsSchema = z.object({
  stage,
  first: z.coerce.number().int().min(0).default(0),
  filter: z.string().max(1000).default(''),
});
const pairsSchema = rowsSchema.extend({ part: z.enum(['pairs', 'dev']).default('pairs') });
const otherSchema = z.object({ other: z.string() });
const LARGEST_AUDIT = 64 * 2 ** 20;

/** What the stages of a run made. Files of any length are read in parts. */
export function runContentsApi({ options, signal }: Studio, counts: LineCounts): Hono {
  const app = new Hono();
  const [files, evaluations] = [new RowFiles(), new Evaluations()];
  const rewards = new RecordsById(rewardSchema, 'candidateId', ({ candidateId }) => candidateId);
  const queries = new RecordsById(querySchema, '_id', ({ id }) => id);
  const placeOf = (name: string) => runPlace(options.runs, name);
  const rowsOf = <T>(path: string, schema: z.ZodType<T>, { first, filter }: z.output<typeof rowsSchema>) =>
    filter === '' ? files.page(path, schema, first) : files.find(path, schema, filter, first, signal);
  /** The texts of queries, where the run has them: one of an older version does not. */
  const queryTexts = async (run: string, ids: Iterable<string>) => {
    const output = await findOutput(run, 'queries').catch(noOutput);
    return output === undefined ? new Map<string, { text: string }>() : queries.find(output.path, ids);
  };

  app.get('/:name/curves', async (context) => {
    const asked = readQuery(context, z.object({ stage: z.string().min(1) }));
    const path = await fileInside(
      await placeOf(context.req.param('name')),
      metricsFile(asked.stage).replaceAll('\\', '/'),
    );
    return context.json((await readCurves(path, signal)) satisfies TrainingCurves);
  });

  app.get('/:name/candidates', async (context) => {
    const asked = readQuery(context, rowsSchema);
    const run = await placeOf(context.req.param('name'));
    const output = await findOutput(run, 'candidates', asked.stage);
    const page = await rowsOf(output.path, candidateSchema, asked);
    const file = await outputMadeFrom(run, output, 'rewards');
    const ids = page.rows.map(({ candidateId }) => candidateId);
    const found = file === undefined ? undefined : await rewards.find(file, ids);
    const texts = await queryTexts(
      run,
      page.rows.map(({ queryId }) => queryId),
    );
    const rows = page.rows.map(({ candidateId: id, queryId, text, temperature, finish, duplicateOf }): CandidateRow => {
      const reward = found?.get(id);
      return {
        ...{
          id,
          queryId,
          query: texts.get(queryId)?.text,
          text,
          temperature,
          finish,
          isDuplicate: duplicateOf !== undefined,
        },
        reward: reward && { total: reward.total, rewards: reward.rewards, ranks: reward.ranks },
      };
    });
    return context.json({ ...page, rows } satisfies Rows<CandidateRow>);
  });

  app.get('/:name/pairs', async (context) => {
    const asked = readQuery(context, pairsSchema);
    const run = await placeOf(context.req.param('name'));
    const { path } = await findOutput(run, asked.part, asked.stage);
    const page = await rowsOf(path, pairSchema, asked);
    const texts = await queryTexts(
      run,
      page.rows.map(({ queryId }) => queryId),
    );
    const rows = page.rows.map(
      ({ id, queryId, prompt, chosen, rejected, chosenReward, rejectedReward }): PairRow => ({
        ...{ id, queryId, query: texts.get(queryId)?.text, chosenReward, rejectedReward },
        ...{ prompt: wordsOf(prompt), chosen: wordsOf(chosen), rejected: wordsOf(rejected) },
      }),
    );
    return context.json({ ...page, rows } satisfies Rows<PairRow>);
  });

  app.get('/:name/audit', async (context) => {
    const asked = readQuery(context, stageSchema);
    const { path } = await findOutput(await placeOf(context.req.param('name')), 'audit', asked.stage);
    const fix = 'Remove the folder of the stage. It will run again.';
    const known = { what: 'an audit', fix, mostBytes: LARGEST_AUDIT };
    const {
      examples: _texts,
      quotes: _too,
      ...audit
    } = await readBoundedJson(path, z.record(z.string(), z.unknown()), known);
    return context.json({ facts: factsOf(audit).filter(([name]) => !name.endsWith('.counts')) } satisfies PairAudit);
  });

  app.get('/:name/texts', async (context) => {
    const { filter, first, stage: folder } = readQuery(context, rowsSchema);
    const { path } = await findOutput(await placeOf(context.req.param('name')), 'evaluation', folder);
    return context.json(textsOf(await evaluations.read(path), filter, first) satisfies Rows<TextRow>);
  });

  app.get('/:name/evaluation', async (context) => {
    const { stage: folder } = readQuery(context, stageSchema);
    const run = await placeOf(context.req.param('name'));
    const output = await findOutput(run, 'evaluation', folder).catch((error: unknown) => {
      if (folder !== undefined || !(error instanceof RequestError)) throw error;
    });
    const scores = output === undefined ? await reportScores(run) : scoresOf(await evaluations.read(output.path));
    return context.json(scores satisfies Scores);
  });

  app.get('/:name/against', async (context) => {
    const { other } = readQuery(context, otherSchema);
    const compared = async (name: string): Promise<ComparedRun> => {
      const folder = await placeOf(name);
      const { manifest } = await readRunPage(folder, counts);
      const output = await findOutput(folder, 'evaluation').catch(noOutput);
      return { name, settings: manifest?.settings ?? [], evaluation: output && (await evaluations.read(output.path)) };
    };
    const [a, b] = [await compared(context.req.param('name')), await compared(other)];
    return context.json(differenceOf(a, b) satisfies RunDifference);
  });
  return app;
}

function wordsOf(messages: readonly Message[]): string {
  return messages.map(({ content }) => content).join('\n\n');
}

function noOutput(error: unknown): undefined {
  if (!(error instanceof RequestError) && !(error instanceof DataError)) throw error;
}
