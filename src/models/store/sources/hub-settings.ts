import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** How the Hugging Face hub is reached, by the environment variables that its own libraries read. */
export interface HubSettings {
  /** `HF_ENDPOINT`, or the public hub; without a slash at its end. */
  endpoint: string;
  /** `HF_TOKEN`, or what the hub's own login command wrote down. */
  token: string | undefined;
  /** `HF_HUB_CACHE`, or `hub` under `HF_HOME`: read, never written. */
  cache: string;
}

export async function readHubSettings(environment: NodeJS.ProcessEnv): Promise<HubSettings> {
  const caches = environment.XDG_CACHE_HOME || join(environment.HOME || homedir(), '.cache');
  const home = environment.HF_HOME || join(caches, 'huggingface');
  const tokenFile = environment.HF_TOKEN_PATH || join(home, 'token');
  const token = environment.HF_TOKEN || (await readFile(tokenFile, 'utf8').catch(() => ''));
  return {
    endpoint: (environment.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    token: token.trim() || undefined,
    cache: environment.HF_HUB_CACHE || environment.HUGGINGFACE_HUB_CACHE || join(home, 'hub'),
  };
}

/** Whether the environment forbids connections: `LLM_QE_OFFLINE` or `HF_HUB_OFFLINE`. */
export function isOffline(environment: NodeJS.ProcessEnv): boolean {
  return [environment.LLM_QE_OFFLINE, environment.HF_HUB_OFFLINE].some((value) =>
    /^(1|on|yes|true)$/i.test(value?.trim() ?? ''),
  );
}
