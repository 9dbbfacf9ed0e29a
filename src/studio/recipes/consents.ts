import { resolve } from 'node:path';
import { codeIn, type Recipe, serversOf } from '../../pipeline/index.ts';
import { chooseSetting, ENVIRONMENT_VARIABLES, LlmQeError, sha256File } from '../../system/index.ts';
import type { Consent } from '../shapes/recipes.ts';

/** What a run of the recipe does beyond this machine's own models: it runs code, and sends texts to servers. Each is confirmed by name. */
export async function consentsOf(recipe: Recipe): Promise<Consent[]> {
  const code = await Promise.all([...new Set(codeIn(recipe))].map(codeConsent));
  return [...code, ...serversOf(recipe).map(serverConsent)];
}

/** The id changes with the code, so that what was confirmed is what was there to be read. */
async function codeConsent(name: string): Promise<Consent> {
  const hash = await sha256File(resolve(name)).catch((error: unknown) => {
    if (!(error instanceof LlmQeError)) throw error;
    return 'missing';
  });
  const text = 'runs with all rights of your account. Read it first.';
  return { id: `code ${name} ${hash}`, kind: 'code', name, text };
}

/** The name of the variable with the key is told, never its value. */
function serverConsent({ address, sends }: { address: string; sends: readonly string[] }): Consent {
  const key = keyVariable();
  const how = key === undefined ? 'without a key' : `with the key in ${key}`;
  const text = `receives ${sends.join('; ')}, ${how}.`;
  return { id: `server ${address} ${how}`, kind: 'server', name: address, text };
}

/** The environment variable whose key is sent to every server; undefined if there is none. */
export function keyVariable(): string | undefined {
  return ENVIRONMENT_VARIABLES.serverKey.find((name) => (process.env[name] ?? '').trim() !== '');
}

/** The key that a run sends to servers, to be hidden wherever texts are shown. */
export function serverKey(): string | undefined {
  return chooseSetting(undefined, 'serverKey');
}
