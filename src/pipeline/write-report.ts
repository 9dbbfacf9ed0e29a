import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type EvaluationData, evaluationSchema } from '../evaluate/index.ts';
import { type ExpansionFacts, labelOf, renderAlignmentReport, saidIn } from '../report/index.ts';
import type { RewardAudit } from '../reward/index.ts';
import { DataError, systemFault } from '../system/index.ts';
import { type MetricsRecord, readMetrics } from '../train/index.ts';
import { describeRun, writeReportPage } from './manifest.ts';
import { untrainedEncoderOf } from './run/encoders.ts';
import type { Round } from './run/rounds.ts';
import type { RunFolder } from './run/run-folder.ts';
import { type AlignmentContext, outputOf, roundOf } from './run/stage.ts';

/** Reads the result of the evaluation stage. @throws DataError */
export async function readEvaluation(context: AlignmentContext): Promise<EvaluationData> {
  const file = outputOf(context, 'evaluate', 'evaluation')!;
  const parsed = evaluationSchema.safeParse(await readJson(file));
  if (parsed.success) return parsed.data;
  throw new DataError('is not an evaluation', {
    file,
    fix: 'Remove its folder. The stage will run again.',
    cause: parsed.error,
  });
}

/**
 * Writes `report.html` into the folders of the run and of its evaluation.
 * @param rounds all rounds, if there are several; the context is that of the best
 * @returns its path
 */
export async function writeAlignmentReport(
  context: AlignmentContext,
  evaluation: EvaluationData,
  run: RunFolder,
  rounds: readonly Round[] = [],
): Promise<string> {
  const manifest = describeRun(context, run, rounds);
  const auditFile = outputOf(context, 'pairs', 'audit');
  const page = renderAlignmentReport({
    title: 'What alignment did',
    recipe: { name: manifest.recipe.name, hash: manifest.recipeHash },
    evaluation,
    audit: auditFile === undefined ? undefined : ((await readJson(auditFile)) as RewardAudit),
    training: {
      ...{ dpo: await metricsOf(context, 'dpo'), sft: await metricsOf(context, 'sft') },
      ...{ retriever: await metricsOf(context, 'retriever'), student: await metricsOf(context, 'student') },
    },
    rounds: rounds.flatMap(({ round, result }) => (result === undefined ? [] : [{ round, ...result }])),
    bestRound: roundOf(context),
    passedOver: manifest.stages.map(({ stage, result }) => ({ stage, ...saidIn(result) })),
    stages: manifest.stages.map(({ stage, seconds, result }) => ({ name: stage, seconds, note: noteOf(result) })),
    settings: settingsOf(manifest),
    writing: writingOf(context, evaluation),
    remarks: remarksOf(context, evaluation),
  });
  return writeReportPage(context, run, page);
}

async function metricsOf(context: AlignmentContext, stage: string): Promise<MetricsRecord[]> {
  const file = outputOf(context, stage, 'metrics');
  return file === undefined ? [] : readMetrics(dirname(file));
}

/** How the expansions of all arms were written; only the adapter differs. */
function writingOf({ recipe, models, prompt }: AlignmentContext, { seeds }: EvaluationData): ExpansionFacts {
  const { samples, temperature, topP, topK, maxTokens } = recipe.expansion;
  const { name, text } = prompt;
  const generator = models.generator.name;
  return { generator, prompt: { name, text }, samples, temperature, topP, topK, maxTokens, seed: seeds[0] };
}

/** A few facts of a stage's result for the report. */
function noteOf(result: Record<string, unknown>): string {
  const named: [key: string, unit: string][] = [
    ['queries', 'queries'],
    ['candidates', 'candidates'],
    ['answers', 'answers'],
    ['train', 'pairs'],
    ['rows', 'rows'],
    ['steps', 'steps'],
    ['tokens', 'tokens'],
    ['tokensPerSecond', 'tokens per second'],
  ];
  return named
    .flatMap(([key, unit]) => {
      const value = result[key];
      return typeof value === 'number' && value > 0 ? [`${value.toLocaleString('en-US')} ${unit}`] : [];
    })
    .join(', ');
}

type Section = [section: string, entries: [name: string, value: string][]];

/** Everything that a reader needs to reproduce the results. */
function settingsOf(manifest: ReturnType<typeof describeRun>): Section[] {
  const { recipe, models, data, prompts, host } = manifest;
  return [
    ['Recipe', [['hash', manifest.recipeHash], ...flatten(recipe)]],
    ['Models', flatten(models)],
    ['Data', flatten(data)],
    ['Prompts', flatten(prompts)],
    ['Host', [['llm-qe', manifest.version], ['engine', manifest.engine], ...flatten(host)]],
    ['Reproducing', [['what is reproducible', manifest.reproducibility]]],
  ];
}

/** `{a: {b: 1}}` becomes `a.b: 1`. */
function flatten(value: unknown, path = ''): [string, string][] {
  if (value === undefined) return [];
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return [[path, Array.isArray(value) ? value.join(', ') : String(value)]];
  }
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, path === '' ? key : `${path}.${key}`));
}

/** Whether the trained retriever rewarded the candidates: it is trained first, or in the round before. */
function rewardsTrained({ recipe, before }: AlignmentContext): boolean {
  return recipe.retriever.enabled && (recipe.order === 'retriever-first' || before !== undefined);
}

function remarksOf(context: AlignmentContext, { seeds, main }: EvaluationData): string[] {
  const { recipe } = context;
  const remarks = [
    `The encoder that rewards the candidates (${untrainedEncoderOf(context).name}${rewardsTrained(context) ? ', trained' : ''}) also judges the arms, so the gain may be specific to this encoder.${recipe.evaluation.judges.length > 0 ? ' The training did not use the other judges above.' : ''}`,
    `One training seed. ${seeds.length === 1 ? 'One generation seed: another seed gives other passages, so the scores are noisy.' : `Scores are means over ${seeds.length} generation seeds.`}`,
  ];
  const edges = main.arms
    .filter(({ alpha }) => alpha === 0 || alpha === 1)
    .map(({ name, alpha }) => `${labelOf(name)} ${alpha}`);
  if (edges.length > 0) {
    remarks.push(
      `The tuned alpha is at the edge (${edges.join(', ')}): at 0 the expansion is not used at all, at 1 the query is not.`,
    );
  }
  return remarks;
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw systemFault(error, file);
    throw new DataError('is not JSON', { file, fix: 'Remove its folder. The stage will run again.', cause: error });
  }
}
