import { type BlockModel, chain } from './block-model.ts';
import { Graph } from './graph.ts';
import { type Parameter, Parameters } from './parameters.ts';
import type { ParameterPlan } from './weight-plan.ts';

/** The values with which the training of a model begins, without compiling it. @throws ModelError if the checkpoint does not fit */
export function initialParameters(model: BlockModel): Promise<Parameters> {
  const weights = model.plan(new Graph(), false);
  chain(model.blocks, weights);
  return readParameters(weights.parameters);
}

/** Reads planned parameters. */
export async function readParameters(planned: ReadonlyMap<string, ParameterPlan>): Promise<Parameters> {
  const parameters: Parameter[] = [];
  for (const [name, { shape, load }] of planned) parameters.push({ name, shape, data: await load() });
  return new Parameters(parameters);
}
