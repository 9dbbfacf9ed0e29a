import { z } from 'zod';
import { isServerAddress, serverOrNameSchema } from '../servers/index.ts';
import { UsageError } from '../system/index.ts';

/** The option of commands that align. */
export const answerGenerator = z
  .array(serverOrNameSchema)
  .default([])
  .describe(
    'another, usually larger LLM for the answers: a model of the store, a .gguf file, or the address of an OpenAI-compatible server (repeatable)',
  )
  .meta({ valueName: 'NAME|FILE|URL' });

/**
 * The same as an override of a recipe: its whole section `answerGenerator`.
 * @throws UsageError where several are named that are not all servers
 */
export function answerGeneratorOverrides(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const servers = names.filter(isServerAddress);
  const [model] = names;
  if (servers.length < names.length && names.length > 1) {
    throw new UsageError('several answer generators must all be servers', {
      fix: 'Name one model, or several addresses.',
    });
  }
  return [`answerGenerator=${JSON.stringify(servers.length > 0 ? { servers } : { model })}`];
}
