import { createRequire } from 'node:module';
import { ResourceError } from './errors.ts';

/**
 * Imports a package that only some commands need, and that is not installed with this one.
 * @throws ResourceError that says what to install
 */
export async function optionalPackage<T>(load: () => Promise<T>, name: string, what: string): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && `${cause.code}`.includes('MODULE_NOT_FOUND');
    const reason = isMissing ? 'is not installed' : `could not be loaded: ${(cause as Error).message}`;
    throw new ResourceError(`${what} needs the package ${name}, which ${reason}`, {
      fix: `Run \`npm install ${name}\` where llm-qe is installed.`,
      cause,
    });
  }
}

/**
 * Checks that a package is there which a slim install leaves out (`npm install --omit=optional`).
 * @param instead what works without it
 * @throws ResourceError that says how to add it
 */
export function refuseIfSlim(name: string, what: string, instead = ''): void {
  try {
    createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    // A package may be there and have no entry for `require`.
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') return;
    const fix = `Install llm-qe with its optional dependencies: \`npm install llm-qe --include=optional\`.${instead}`;
    throw new ResourceError(`${what} needs the package ${name}, which a slim install leaves out`, { fix, cause });
  }
}
