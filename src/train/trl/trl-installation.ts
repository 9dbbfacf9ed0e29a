import { findPython, type PythonInstallation, type PythonNeeds } from '../python/python-installation.ts';

/** The oldest releases whose arguments match our table, and the first that may differ. */
const PACKAGES = {
  trl: ['1.16', '2'],
  peft: ['0.13', '1'],
  transformers: ['5', '6'],
  accelerate: ['1.10', '2'],
} as const;
const DEEPSPEED = { deepspeed: ['0.18.6', '1'] } as const;

/** Finds TRL. @throws ResourceError as {@link findPython} */
export function findTrl({
  deepspeed = false,
  environment,
  signal,
}: {
  deepspeed?: boolean | undefined;
  environment?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
} = {}): Promise<PythonInstallation> {
  const [from, below] = PACKAGES.trl;
  const needs: PythonNeeds = {
    name: 'TRL',
    packages: { ...PACKAGES, ...(deepspeed && DEEPSPEED) },
    requirement: `"trl[peft${deepspeed ? ',deepspeed' : ''}]>=${from},<${below}"`,
    program: 'trl',
  };
  return findPython(needs, { environment, signal });
}
