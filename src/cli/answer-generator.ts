import { z } from 'zod';
import { isServerAddress, serverOrNameSchema } from '../servers/index.ts';
import { UsageError } from '../system/index.ts';

/** `--answer-generator` of the commands that align. */
export const answerGenerator = z
  .array(serverOrNameSchema)
  .default([])
  .describe(
    'a different, usually larger LLM that writes the answers: a model name, a .gguf file, or the address of an OpenAI-compatible server',
  )
  .meta({ valueName: 'NAME|FILE|URL' });

/**
 * Turns `--answer-generator` into an override of the recipe's `answerGenerator` section.
 * @throws UsageError for several values that are not all servers
 */
export function answerGeneratorOverrides(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const servers = names.filter(isServerAddress);
  const [model] = names;
  if (servers.length < names.length && names.length > 1) {
    throw new UsageError('several answer generators must all be servers', {
      fix: 'Pass one model, or several server addresses.',
    });
  }
  return [`answerGenerator=${JSON.stringify(servers.length > 0 ? { servers } : { model })}`];
}
