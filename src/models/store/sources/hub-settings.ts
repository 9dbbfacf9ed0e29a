import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { checkSecret, chooseSetting, type EnvironmentSetting } from '../../../system/index.ts';

/** How the Hugging Face hub is reached, by the environment variables that its own libraries read. */
export interface HubSettings {
  /** `HF_ENDPOINT`, or the public hub; without a slash at its end. */
  endpoint: string;
  /** `HF_TOKEN`, or what the hub's own login command wrote down. */
  token: string | undefined;
  /** `HF_HUB_CACHE`, or `hub` under `HF_HOME`: read, never written. */
  cache: string;
}

/** @throws UsageError for a token that no HTTP header can carry */
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
