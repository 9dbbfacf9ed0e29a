import { isServerAddress } from '../../servers/index.ts';
import type { Recipe } from './recipe-schema.ts';

/** A server that a recipe calls. */
export interface RecipeServer {
  /** Without its password or key. */
  address: string;
  /** What is sent to it. */
  sends: string[];
}

/** The servers that a run of the recipe calls, in the order of the recipe. */
export function serversOf({ generator, answerGenerator, expansion, encoder, answers }: Recipe): RecipeServer[] {
  const isAnswering = answers.enabled && answerGenerator === undefined;
  const candidates = isAnswering ? 'training queries and their documents' : 'training queries';
  const sent: [string, string][] = [
    ...generator.servers.map((one) => [one, candidates] as [string, string]),
    ...(answerGenerator?.servers ?? []).map((one) => [one, 'training queries and their documents'] as [string, string]),
    ...expansion.servers.map((one) => [one, 'the queries of evaluation'] as [string, string]),
    ...(isServerAddress(encoder.model)
      ? [[encoder.model, 'all queries, documents and texts'] as [string, string]]
      : []),
  ];
  const servers = new Map<string, string[]>();
  for (const [address, what] of sent) servers.set(address, [...new Set([...(servers.get(address) ?? []), what])]);
  return [...servers].map(([address, sends]) => ({ address, sends }));
}
