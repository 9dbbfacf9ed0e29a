import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { checkSecret, chooseSetting, type EnvironmentSetting } from '../../../system/index.ts';

/** How to reach the Hugging Face hub, from the environment variables that its own libraries read. */
export interface HubSettings {
  /** `HF_ENDPOINT`, or the public hub; without a trailing slash. */
  endpoint: string;
  /** `HF_TOKEN`, or the token that the hub's login command stored. */
  token: string | undefined;
  /** `HF_HUB_CACHE`, or `hub` under `HF_HOME`. It is read but never written. */
  cache: string;
}

/** Reads the settings. @throws UsageError if an HTTP header cannot carry the token */
export async function readHubSettings(environment: NodeJS.ProcessEnv): Promise<HubSettings> {
  const read = (setting: EnvironmentSetting) => chooseSetting(undefined, setting, environment);
  const caches = read('caches') ?? join(environment.HOME || homedir(), '.cache');
  const home = read('hubHome') ?? join(caches, 'huggingface');
  const tokenFile = read('hubTokenFile') ?? join(home, 'token');
  const token = read('hubToken') ?? (await readFile(tokenFile, 'utf8').catch(() => ''));
  return {
    endpoint: (read('hubEndpoint') ?? 'https://huggingface.co').replace(/\/+$/, ''),
    // A token with a line break in it would fail deep inside the HTTP client, which prints it.
    token: checkSecret(token, 'HF_TOKEN'),
    cache: read('hubCache') ?? join(home, 'hub'),
  };
}
