import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { chooseSetting } from '../environment.ts';

/**
 * Returns the folder for everything that can be downloaded or computed again (models, vectors): `LLM_QE_HOME`, or `llm-qe` in
 * `XDG_CACHE_HOME`, or `~/.cache/llm-qe`.
 */
export function cacheHome(environment: NodeJS.ProcessEnv = process.env): string {
  const home = chooseSetting(undefined, 'home', environment);
  if (home !== undefined) return resolve(home);
  return join(chooseSetting(undefined, 'caches', environment) ?? join(homedir(), '.cache'), 'llm-qe');
}
