import type { Recipe } from '../recipe/recipe-schema.ts';
import type { WritingArm } from './stage.ts';

/** A compared arm: who writes its expansions, and which encoder searches. */
export interface Arm {
  description: string;
  /** Undefined if the queries are searched as they are. */
  writer?: WritingArm;
  /** The recipe's own, the trained retriever, or the student. */
  encoder: 'own' | 'retriever' | 'student';
  wanted(recipe: Recipe): boolean;
}

const always = () => true;
const ifTrained = ({ retriever }: Recipe) => retriever.enabled;

/** All arms by name, in the order of the tables. */
export const ARMS = {
  raw: { description: 'raw queries', encoder: 'own', wanted: always },
  zeroShot: { description: 'expansions of the base model', writer: 'zeroShot', encoder: 'own', wanted: always },
  sft: {
    description: 'expansions of the model fine-tuned on the best candidates',
    ...{ writer: 'sft', encoder: 'own', wanted: ({ sft }) => sft.enabled },
  },
  aligned: {
    description: 'expansions of the model aligned by DPO',
    ...{ writer: 'aligned', encoder: 'own', wanted: always },
  },
  retriever: { description: 'raw queries, searched by the trained retriever', encoder: 'retriever', wanted: ifTrained },
  'retriever+aligned': {
    description: 'expansions of the model aligned by DPO, searched by the trained retriever',
    ...{ writer: 'aligned', encoder: 'retriever', wanted: ifTrained },
  },
  student: {
    description: 'raw queries, searched by the student, which learnt the vectors of expanded queries',
    ...{ encoder: 'student', wanted: ({ student }) => student.enabled },
  },
} as const satisfies Record<string, Arm>;
export type ArmName = keyof typeof ARMS;

/** The arms of a recipe, in the order of the tables. */
export function armsOf(recipe: Recipe): ArmName[] {
  return (Object.keys(ARMS) as ArmName[]).filter((name) => ARMS[name].wanted(recipe));
}

/** The arm's facts, whichever arm it is. */
export function armOf(name: ArmName): Arm {
  return ARMS[name];
}

/** The LLMs that write expansions for the arms of a recipe. */
export function writersOf(recipe: Recipe): WritingArm[] {
  return [...new Set(armsOf(recipe).flatMap((name) => armOf(name).writer ?? []))];
}
