import { z } from 'zod';
import { readBoundedJson } from '../files/index.ts';
import { writeDurably } from '../system/index.ts';
import { calibratedModelSchema } from './calibrated-model.ts';
import { BEFORE_NAMES } from './features.ts';
import { harmControlSchema } from './harm-control.ts';
import { madeForSchema } from './made-for.ts';
import { policySchema } from './policy.ts';
import { policyReportSchema } from './policy-report.ts';

/** Increase it when the same file would decide otherwise. */
export const GATE_FORMAT = 1;

const name = z.string().min(1).max(300);
const before = new Set<string>(BEFORE_NAMES);

/** `gate.json`: everything that a gate decides by, and what is known of how well it decides. */
export const gateSchema = z.strictObject({
  kind: z.literal('gate'),
  format: z.literal(GATE_FORMAT, { error: `made by another version of llm-qe: this one reads format ${GATE_FORMAT}` }),
  /** Version of this package that trained it. */
  version: name,
  measure: name,
  seed: z.int().nonnegative(),
  /** The search that it was trained for. */
  madeFor: madeForSchema,
  /** What wrote the expansions, as far as their manifests say. */
  writers: z.array(name).max(100),
  /** Weights that the gate gives, ascending; the first is 0. For a lexical search 0 and 1. */
  weights: z
    .array(z.number().min(0).max(1))
    .min(2)
    .max(101)
    .refine((all) => all[0] === 0 && all.every((one, at) => at === 0 || one > all[at - 1]!), 'do not rise from 0'),
  /** Weight of the search whose hits the feature `overlap` compares. */
  probe: z.number().min(0).max(1),
  /** The weight that is best on the training queries if all get the same one. */
  constant: z.number().min(0).max(1),
  trainedOn: z
    .array(
      z.strictObject({
        dataset: name,
        split: name,
        queries: z.int().positive(),
        /** Why another split than dev was used. */
        reason: z.string().max(1000).optional(),
      }),
    )
    .min(1)
    .max(100),
  before: calibratedModelSchema.refine(({ features }) => features.every((one) => before.has(one.name)), {
    message: 'holds a feature that is not known before writing',
    path: ['features'],
  }),
  after: calibratedModelSchema,
  policy: policySchema,
  /** How its harm was limited; absent if it was not. */
  harm: harmControlSchema.optional(),
  /** How gates did on queries that they were not trained on: one collection left out, or a tenth of the queries of a single one. */
  heldOut: z.array(policyReportSchema.extend({ collection: name })).max(100),
});
export type GateData = z.output<typeof gateSchema>;

/** @throws DataError if the file is missing, larger than a gate can be, or no gate; ResourceError */
export async function readGateFile(file: string): Promise<GateData> {
  return readBoundedJson(file, gateSchema, {
    what: 'a gate',
    fix: 'Pass a file that `llm-qe gate train` wrote, or train the gate again.',
  });
}

/** @throws ResourceError */
export async function writeGateFile(file: string, gate: GateData): Promise<void> {
  await writeDurably(file, `${JSON.stringify(gate, null, 1)}\n`);
}
