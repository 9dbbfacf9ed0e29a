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
