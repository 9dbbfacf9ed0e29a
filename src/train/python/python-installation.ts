import { execFile } from 'node:child_process';
import { access, constants, realpath } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { chooseSetting, ENVIRONMENT_VARIABLES, ResourceError } from '../../system/index.ts';

/** A Python installation with the packages that an engine needs. */
export interface PythonInstallation {
  /** Path of the interpreter. */
  python: string;
  versions: Record<string, string>;
}

/** The packages that an engine needs, and how it is found. */
export interface PythonNeeds {
  /** Its name in error messages. */
  name: string;
  /** By package: the oldest release that works, and the first that may not. */
  packages: Readonly<Record<string, readonly [from: string, below: string]>>;
  /** What pip installs. */
  requirement: string;
  /** A program on the PATH beside whose Python the packages are, if no variable names one. */
  program: string;
}

/** The environment variable that names the interpreter. */
export const PYTHON_VARIABLE = ENVIRONMENT_VARIABLES.python[0];

const PROBE_SECONDS = 60;
const probeOf = (packages: readonly string[]) => `
import importlib.metadata as metadata, json
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
print(json.dumps({name: version(name) for name in ${JSON.stringify(packages)}}))
`;

/**
 * Finds an engine in the Python that LLM_QE_PYTHON names, or else in the one next to its program on the PATH.
 * @throws ResourceError if it is missing, too old or too new; the fix is the command that installs it
 */
export async function findPython(
  needs: PythonNeeds,
  {
    environment = process.env,
    signal,
  }: { environment?: NodeJS.ProcessEnv | undefined; signal?: AbortSignal | undefined } = {},
): Promise<PythonInstallation> {
  const { name, packages, program } = needs;
  const python = chooseSetting(undefined, 'python', environment) ?? (await pythonBeside(program, environment));
  if (python === undefined) {
    throw new ResourceError(`${name} is not installed: no ${program} on the PATH, and ${PYTHON_VARIABLE} is not set`, {
      fix: `Run ${installLine('python3', needs)} and set ${PYTHON_VARIABLE} to that Python.`,
    });
  }
  const versions = await probe(python, Object.keys(packages), environment, signal);
  const faults = Object.entries(packages).flatMap(([one, range]) => faultOf(one, versions[one], range));
  if (faults.length === 0) return { python, versions: installed(versions) };
  throw new ResourceError(`this Python cannot run ${name}: ${faults.join('; ')}`, {
    file: python,
    fix: `Install what is missing: ${installLine(python, needs)}`,
  });
}

function installLine(python: string, { requirement }: PythonNeeds): string {
  return `${quoted(python)} -m pip install ${requirement}`;
}

function quoted(word: string): string {
  return /^[\w./:\\-]+$/.test(word) ? word : JSON.stringify(word);
}

/** The interpreter of the environment (such as a virtual one) that the first such program on the PATH belongs to. */
async function pythonBeside(program: string, environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  for (const folder of (environment.PATH ?? '').split(delimiter).filter((one) => one !== '')) {
    const found = join(folder, `${program}${suffix}`);
    if (!(await isExecutable(found))) continue;
    const folders = [folder, dirname(await realpath(found))];
    for (const file of folders.flatMap((one) => ['python', 'python3'].map((name) => join(one, `${name}${suffix}`)))) {
      if (await isExecutable(file)) return file;
    }
  }
  return undefined;
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

const versionsSchema = z.record(z.string(), z.string().nullable());

async function probe(
  python: string,
  packages: readonly string[],
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<Record<string, string | null>> {
  try {
    const { stdout } = await promisify(execFile)(python, ['-c', probeOf(packages)], {
      ...{ env: environment, timeout: PROBE_SECONDS * 1000 },
      ...(signal && { signal }),
    });
    return versionsSchema.parse(JSON.parse(stdout));
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ResourceError('this Python could not be run', {
      file: python,
      fix: `Set ${PYTHON_VARIABLE} to the path of a Python interpreter, version 3.10 or newer.`,
      cause,
    });
  }
}

function installed(versions: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(Object.entries(versions).filter((entry): entry is [string, string] => entry[1] !== null));
}

function faultOf(name: string, version: string | null | undefined, [from, below]: readonly [string, string]): string[] {
  if (version == null) return [`${name} is missing`];
  if (compareVersions(version, from) >= 0 && compareVersions(version, below) < 0) return [];
  return [`${name} is ${version}, but a version from ${from} to below ${below} is required`];
}

/** Compares by numbers; suffixes (`rc1`, `.dev0`, `+cpu`) are ignored. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => (text.match(/^\d+(\.\d+)*/)?.[0] ?? '0').split('.').map(Number));
  for (let index = 0; index < Math.max(left!.length, right!.length); index++) {
    const difference = (left![index] ?? 0) - (right![index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
