import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { findKnownModel, ModelStore } from '../models/index.ts';
import type { CommandContext } from './command.ts';

/** `--base` of the commands that write models. */
export const baseOption = z
  .string()
  .describe('the model that the adapter was trained on: a name, a folder, a .gguf file, or hf:owner/name')
  .meta({ valueName: 'NAME|PATH' });

/** Returns the path of a base model. A path is used as it is; a name is downloaded if needed. @throws ModelError, NetworkError */
export async function locateBase(
  base: string,
  offline: boolean | undefined,
  { signal, progress }: Pick<CommandContext, 'signal' | 'progress'>,
): Promise<string> {
  const isPath = findKnownModel(base) === undefined && (await stat(base).catch(() => undefined)) !== undefined;
  return isPath ? base : (await new ModelStore({ offline, progress }).resolve(base, { signal })).path;
}
