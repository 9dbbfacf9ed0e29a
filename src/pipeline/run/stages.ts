import { join } from 'node:path';
import type { PromptTemplate } from '../../generate/index.ts';
import type { NamedReward } from '../../reward/index.ts';
import type { Progress } from '../../system/index.ts';
import type { Recipe } from '../recipe/recipe-schema.ts';
import type { AlignmentData, AlignmentModels, InputOptions } from './alignment-inputs.ts';
import type { FinishedStage } from './run-folder.ts';

/** In the order in which they run. */
export const STAGES = [
  'candidates',
  'answers',
  'reward',
  'pairs',
  'sft',
  'dpo',
  'expand-zeroShot',
  'expand-sft',
  'expand-aligned',
  'evaluate',
] as const;
export type StageName = (typeof STAGES)[number];

/** The ways of searching that are compared: queries as they are, and with the texts of three generators. */
export const ARMS = ['raw', 'zeroShot', 'sft', 'aligned'] as const;
export type ArmName = (typeof ARMS)[number];
export type WritingArm = Exclude<ArmName, 'raw'>;

export const ENGINES = ['local', 'trl'] as const;
export type Engine = (typeof ENGINES)[number];

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
  /** The stages before. */
  done: Map<StageName, FinishedStage>;
}

/** One stage of the alignment. */
export interface AlignmentStage {
  name: StageName;
  /** Whether the recipe wants it. */
  wanted(recipe: Recipe): boolean;
  /** All that decides its outputs; reads only recipe, hashes and the records of stages before. */
  settings(context: AlignmentContext): Record<string, unknown>;
  run(
    context: AlignmentContext,
    folder: string,
  ): Promise<{ outputs: Record<string, string>; result: Record<string, unknown> }>;
}

/** Path of what an earlier stage made; undefined where it was not wanted or made no such thing. */
export function outputOf({ done }: AlignmentContext, stage: StageName, name: string): string | undefined {
  const finished = done.get(stage);
  const output = finished?.record.outputs[name];
  return output === undefined ? undefined : join(finished!.folder, output.file);
}

/** SHA-256 of it, for keys. */
export function hashOf({ done }: AlignmentContext, stage: StageName, name: string): string | undefined {
  return done.get(stage)?.record.outputs[name]?.sha256;
}
