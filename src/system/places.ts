import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * The folder for everything that can be fetched or computed again (models, vectors): `LLM_QE_HOME`, or `llm-qe`
 * under `XDG_CACHE_HOME`, or `~/.cache/llm-qe`.
 */
export function cacheHome(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment.LLM_QE_HOME) return resolve(environment.LLM_QE_HOME);
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'llm-qe');
}
