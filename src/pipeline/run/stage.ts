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

/** The ways of searching that are compared: queries as they are, and with the texts of three generators. */
export const ARMS = ['raw', 'zeroShot', 'sft', 'aligned'] as const;
export type ArmName = (typeof ARMS)[number];
export type WritingArm = Exclude<ArmName, 'raw'>;

export interface StageOptions extends InputOptions {
  engine: Engine;
  progress: Progress;
  warn: (line: string) => void;
}

/** All that a stage may read. */
export interface AlignmentContext {
  recipe: Recipe;
  data: AlignmentData;
  models: AlignmentModels;
  prompt: PromptTemplate;
  answerPrompt: PromptTemplate;
  /** Those that count. */
  rewards: readonly NamedReward[];
  options: StageOptions;
  /** All stages of the run, in order. */
  stages: readonly AlignmentStage[];
  /** The stages before. */
  done: Map<string, FinishedStage>;
}

/** What a check may know before anything runs. */
export interface CheckOptions {
  engine?: Engine | undefined;
  offline?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** Whether modules of one's own may be loaded, which runs their code; else it is only seen whether they are there. */
  loadsCode?: boolean | undefined;
}

/** What a check of a stage that is still to be done may know of this machine. */
export interface MachineFacts extends CheckOptions {
  /** The LLM that is aligned; undefined if it is still to be fetched. */
  base: ResolvedModel | undefined;
  /** Whether the stage runs on another machine. */
  isElsewhere?: boolean | undefined;
}

/** What a stage made. */
export interface StageOutcome {
  /** Files by what they are, in the stage's folder. */
  outputs: Record<string, string>;
  /** Facts that later stages and the report read. */
  result: Record<string, unknown>;
}

/**
 * One stage of an alignment, whole: what names its work, what can be known before, and the work. Stages stand in a list
 * ({@link AlignmentContext.stages}); nothing else knows of one.
 *
 * An output that is named `encoder` is the file of weights in the folder of an encoder: from then on all stages that ask for the
 * encoder (`encoderOf`) get this one.
 */
export interface AlignmentStage {
  readonly name: string;
  /** Format number of its code, a part of its key: raised when equal settings and inputs give other outputs. */
  readonly version: number;
  /** Sections of the recipe that this stage alone reads, by key; an optional one should have a default. */
  readonly sections?: Readonly<Record<string, z.ZodType>>;
  /** Whether the recipe wants it. */
  wanted(recipe: Recipe): boolean;
  /** The part of the recipe that decides its outputs, and the format numbers of other code that does. Plain JSON. */
  settings(context: AlignmentContext): Record<string, unknown>;
  /** What it reads, by content: hashes of data, models and outputs of stages before. Plain JSON. */
  inputs(context: AlignmentContext): Record<string, unknown>;
  /** What can be found wrong with the recipe alone. */
  checks?(recipe: Recipe, options: CheckOptions): RecipeCheck[];
  /** What only this machine can tell, of a stage that is still to be done. */
  machineChecks?(recipe: Recipe, facts: MachineFacts): RecipeCheck[];
  /** What the data can tell, of a stage that is still to be done. */
  dataChecks?(context: AlignmentContext): RecipeCheck[];
  /** Whether what it loads can be loaded, by loading it; asked only on demand. */
  modelChecks?(context: AlignmentContext): RecipeCheck[];
  /** What it takes at most. */
  estimate(recipe: Recipe, known: Known): Estimate;
  /** Copies of models that it works from, which are made once. */
  files?(recipe: Recipe, models: RecipeModels, engine: Engine): Promise<PlannedFile[]> | PlannedFile[];
  /** Does the work; goes on where it finds its own traces in the folder. */
  run(context: AlignmentContext, folder: string): Promise<StageOutcome>;
}

/**
 * All that a stage's key is made of: its version, its settings and its inputs.
 * @throws Error for a stage whose settings and inputs share a name, of which one would be lost
 */
export function keyedSettings(stage: AlignmentStage, context: AlignmentContext): Record<string, unknown> {
  const [settings, inputs] = [stage.settings(context), stage.inputs(context)];
  const twice = ['version', ...Object.keys(settings)].find((name) => Object.hasOwn(inputs, name));
  if (twice !== undefined) throw new Error(`stage ${stage.name} names ${twice} twice`);
  return { version: stage.version, ...settings, ...inputs };
}

/** The stages that a recipe wants, in order. */
export function stagesOf({ stages, recipe }: Pick<AlignmentContext, 'stages' | 'recipe'>): AlignmentStage[] {
  return stages.filter((stage) => stage.wanted(recipe));
}

/** A section of the recipe that belongs to one stage, as its schema gives it. */
export function sectionOf<S extends z.ZodType>(recipe: Recipe, name: string, schema: S): z.output<S> {
  return schema.parse((recipe as Record<string, unknown>)[name]);
}

/** Path of what an earlier stage made; undefined if it was not wanted or made no such thing. */
export function outputOf({ done }: Pick<AlignmentContext, 'done'>, stage: string, name: string): string | undefined {
  const finished = done.get(stage);
  const output = finished?.record.outputs[name];
  return output === undefined ? undefined : join(finished!.folder, output.file);
}

/** SHA-256 of it, for keys. */
export function hashOf({ done }: Pick<AlignmentContext, 'done'>, stage: string, name: string): string | undefined {
  return done.get(stage)?.record.outputs[name]?.sha256;
}
