import { execFile } from 'node:child_process';
import { access, constants, realpath } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { chooseSetting, ENVIRONMENT_VARIABLES, ResourceError } from '../../system/index.ts';

/** A Python installation with TRL. */
export interface TrlInstallation {
  /** Path of the interpreter. */
  python: string;
  versions: Record<string, string>;
}

/** The oldest release whose arguments match our table, and the first that may differ. */
const NEEDED: Readonly<Record<string, readonly [from: string, below: string]>> = {
  trl: ['1.16', '2'],
  peft: ['0.13', '1'],
  transformers: ['5', '6'],
  accelerate: ['1.10', '2'],
  deepspeed: ['0.18.6', '1'],
};

/** The environment variable that names the interpreter. */
export const PYTHON_VARIABLE = ENVIRONMENT_VARIABLES.python[0];

const PROBE_SECONDS = 60;
const PROBE = `
import importlib.metadata as metadata, json
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
print(json.dumps({name: version(name) for name in ${JSON.stringify(Object.keys(NEEDED))}}))
`;

/**
 * Finds TRL in the Python that LLM_QE_PYTHON names, or else in the one next to the first `trl` on the PATH.
 * @throws ResourceError if it is missing, too old or too new; the fix is the command that installs it
 */
export async function findTrl({
  deepspeed = false,
  environment = process.env,
  signal,
}: {
  deepspeed?: boolean | undefined;
  environment?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
} = {}): Promise<TrlInstallation> {
  const python = chooseSetting(undefined, 'python', environment) ?? (await pythonBesideTrl(environment));
  if (python === undefined) {
    throw new ResourceError(`TRL is not installed: no trl on the PATH, and ${PYTHON_VARIABLE} is not set`, {
      fix: `Run ${installLine('python3', deepspeed)} and set ${PYTHON_VARIABLE} to that Python.`,
    });
  }
  const versions = await probe(python, environment, signal);
  const needed = Object.entries(NEEDED).filter(([name]) => deepspeed || name !== 'deepspeed');
  const faults = needed.flatMap(([name, range]) => faultOf(name, versions[name], range));
  if (faults.length === 0) return { python, versions: installed(versions) };
  throw new ResourceError(`this Python cannot run TRL: ${faults.join('; ')}`, {
    file: python,
    fix: `Install what is missing: ${installLine(python, deepspeed)}`,
  });
}

function installLine(python: string, deepspeed: boolean): string {
  const [from, below] = NEEDED.trl!;
  return `${quoted(python)} -m pip install "trl[peft${deepspeed ? ',deepspeed' : ''}]>=${from},<${below}"`;
}

function quoted(word: string): string {
  return /^[\w./:\\-]+$/.test(word) ? word : JSON.stringify(word);
}

/** The interpreter of the environment (such as a virtual one) that the first `trl` on the PATH belongs to. */
async function pythonBesideTrl(environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  for (const folder of (environment.PATH ?? '').split(delimiter).filter((one) => one !== '')) {
    const trl = join(folder, `trl${suffix}`);
    if (!(await isExecutable(trl))) continue;
    const folders = [folder, dirname(await realpath(trl))];
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
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<Record<string, string | null>> {
  try {
    const { stdout } = await promisify(execFile)(python, ['-c', PROBE], {
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
