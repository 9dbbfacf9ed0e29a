import { join } from 'node:path';
import type { z } from 'zod';
import type { PromptTemplate } from '../../generate/index.ts';
import type { ResolvedModel } from '../../models/index.ts';
import type { NamedReward } from '../../reward/index.ts';
import type { Progress } from '../../system/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import type { AlignmentData, AlignmentModels, InputOptions } from './alignment-inputs.ts';
import type { Engine } from './engines.ts';
import type { Estimate, Known, PlannedFile, RecipeModels } from './estimates.ts';
import type { RecipeCheck } from './recipe-checks.ts';
import type { FinishedStage } from './run-folder.ts';

/** The arms whose expansions an LLM writes: the base, and what SFT and DPO made of it. */
export type WritingArm = 'zeroShot' | 'sft' | 'aligned';

export interface StageOptions extends InputOptions {
  engine: Engine;
  progress: Progress;
  warn: (line: string) => void;
}

/** Everything that a stage may read. */
export interface AlignmentContext {
  recipe: Recipe;
  data: AlignmentData;
  models: AlignmentModels;
  prompt: PromptTemplate;
  answerPrompt: PromptTemplate;
  /** The rewards with a weight other than 0. */
  rewards: readonly NamedReward[];
  options: StageOptions;
  /** All stages of the run, in order. */
  stages: readonly AlignmentStage[];
  /** The finished stages of this round before this one. */
  done: Map<string, FinishedStage>;
  /** The round before, with all its stages; undefined in the first. */
  before?: AlignmentContext | undefined;
}

/** What a check knows before anything runs. */
export interface CheckOptions {
  engine?: Engine | undefined;
  offline?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** Whether custom modules may be loaded, which runs their code. Otherwise only their existence is checked. */
  loadsCode?: boolean | undefined;
}

/** What a check of an unfinished stage knows about this machine. */
export interface MachineFacts extends CheckOptions {
  /** The LLM to align; undefined if it must still be downloaded. */
  base: ResolvedModel | undefined;
  /** Whether the stage runs on another machine. */
  isElsewhere?: boolean | undefined;
}

/** The results of a stage. */
export interface StageOutcome {
  /** Output files by name, in the stage's folder. */
  outputs: Record<string, string>;
  /** Facts that later stages and the report read. */
  result: Record<string, unknown>;
}

/**
 * One complete stage of an alignment: its identity, its checks and estimate before a run, and its work. Stages are
 * entries of a list ({@link AlignmentContext.stages}); no other code knows a particular stage.
 *
 * An output named `encoder` is the weights file in the folder of an encoder. All later stages that use the encoder
 * (`encoderOf`) get this one.
 */
export interface AlignmentStage {
  readonly name: string;
  /** Version of its code, a part of its key. Increase it when equal settings and inputs give other outputs. */
  readonly version: number;
  /**
   * The rounds that it is part of: all (default); all with one result (`same`); those after the first; or only the best, when all
   * others have ended.
   */
  readonly rounds?: 'all' | 'same' | 'later' | 'best';
  /** Recipe sections that only this stage reads, by key; an optional one should have a default. */
  readonly sections?: Readonly<Record<string, z.ZodType>>;
  /** Whether the recipe includes the stage. */
  wanted(recipe: Recipe): boolean;
  /** The part of the recipe that determines its outputs, and the versions of other code that does. Plain JSON. */
  settings(context: AlignmentContext): Record<string, unknown>;
  /** Its inputs by content: hashes of data, models and outputs of earlier stages. Plain JSON. */
  inputs(context: AlignmentContext): Record<string, unknown>;
  /** Checks that need only the recipe. */
  checks?(recipe: Recipe, options: CheckOptions): RecipeCheck[];
  /** Checks that depend on this machine, if the stage is unfinished. */
  machineChecks?(recipe: Recipe, facts: MachineFacts): RecipeCheck[];
  /** Checks that need the data, if the stage is unfinished. */
  dataChecks?(context: AlignmentContext): RecipeCheck[];
  /** Checks that load the stage's models; run only on request. */
  modelChecks?(context: AlignmentContext): RecipeCheck[];
  /** Its maximum cost. */
  estimate(recipe: Recipe, known: Known): Estimate | Promise<Estimate>;
  /** Copies of models that it works from, made once. */
  files?(recipe: Recipe, models: RecipeModels, engine: Engine): Promise<PlannedFile[]> | PlannedFile[];
  /** Does the work; resumes from its own partial results in the folder. */
  run(context: AlignmentContext, folder: string): Promise<StageOutcome>;
}

/**
 * Everything that a stage's key consists of: its version, its settings and its inputs.
 * @throws Error if a name occurs in both settings and inputs, because one value would be lost
 */
export function keyedSettings(stage: AlignmentStage, context: AlignmentContext): Record<string, unknown> {
  const [settings, inputs] = [stage.settings(context), stage.inputs(context)];
  const twice = ['version', ...Object.keys(settings)].find((name) => Object.hasOwn(inputs, name));
  if (twice !== undefined) throw new Error(`stage ${stage.name} names ${twice} twice`);
  return { version: stage.version, ...settings, ...inputs };
}

/** The stages of a round that a recipe includes, in order. */
export function stagesOf({
  stages,
  recipe,
  before,
}: Pick<AlignmentContext, 'stages' | 'recipe'> & { before?: unknown }): AlignmentStage[] {
  return stages.filter((stage) => stage.wanted(recipe) && (stage.rounds !== 'later' || before !== undefined));
}

/** The number of the round, from 1. */
export function roundOf({ before }: Pick<AlignmentContext, 'before'>): number {
  return before === undefined ? 1 : 1 + roundOf(before);
}

/** A section of the recipe that belongs to one stage, parsed by its schema. */
export function sectionOf<S extends z.ZodType>(recipe: Recipe, name: string, schema: S): z.output<S> {
  return schema.parse((recipe as Record<string, unknown>)[name]);
}

/** Path of an output of an earlier stage; undefined if the stage did not run or has no such output. */
export function outputOf({ done }: Pick<AlignmentContext, 'done'>, stage: string, name: string): string | undefined {
  const finished = done.get(stage);
  const output = finished?.record.outputs[name];
  return output === undefined ? undefined : join(finished!.folder, output.file);
}

/** SHA-256 of such an output, for keys. */
export function hashOf({ done }: Pick<AlignmentContext, 'done'>, stage: string, name: string): string | undefined {
  return done.get(stage)?.record.outputs[name]?.sha256;
}
