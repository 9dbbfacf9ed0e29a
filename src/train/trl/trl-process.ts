import type { PythonInstallation } from '../python/python-installation.ts';
import { freePort, pythonEnvironment, runPython } from '../python/python-program.ts';
import { trlWords } from './trl-files.ts';
import { type LoggedFigures, parseLogLine } from './trl-log.ts';
import type { TrlPlan } from './trl-plan.ts';

export const PROCESS_FILE = '.trl-process';

/** The folder in which TRL keeps the tokenised examples while it runs. */
export const CACHE_FOLDER = 'cache';

/** What the `trl` program does: it calls this entry point. */
const ENTRY_POINT = 'from trl.cli import main; raise SystemExit(main())';

export interface TrlRunOptions {
  /** The folder of the run, with the files of `writeTrlFiles`. */
  folder: string;
  plan: TrlPlan;
  installation: PythonInstallation;
  /** The checkpoint to resume from, relative to the folder. */
  resumeFrom?: string | undefined;
  environment?: NodeJS.ProcessEnv | undefined;
  signal?: AbortSignal | undefined;
  /**
   * Receives the metrics of each step and evaluation as they are printed, one after another. An error it throws ends
   * the run.
   */
  onFigures(figures: LoggedFigures): Promise<void>;
}

/**
 * Runs TRL on this machine (the first one) and follows its output until it ends.
 * @throws ResourceError if it fails; AbortedError after the signal, when all its processes have ended; what `onFigures`
 * throws
 */
export async function runTrl(options: TrlRunOptions): Promise<void> {
  const { folder, plan, installation, environment, signal, onFigures } = options;
  await runPython({
    ...{ name: 'TRL', folder, python: installation.python, signal, logFile: 'trl.log', processFile: PROCESS_FILE },
    words: ['-c', ENTRY_POINT, ...trlWords(plan.method), ...(await portWords(plan)), ...resumeWords(options)],
    environment: { ...pythonEnvironment(plan.engine, environment), HF_DATASETS_CACHE: CACHE_FOLDER },
    savesMemory:
      'Lower perDeviceTrainBatchSize, set gradientCheckpointing to yes, or share the work among more GPUs (zero2).',
    async onLine(line) {
      const figures = parseLogLine(line);
      if (figures !== undefined) await onFigures(figures);
    },
  });
}

function resumeWords({ resumeFrom }: TrlRunOptions): string[] {
  return resumeFrom === undefined ? [] : ['--resume_from_checkpoint', resumeFrom];
}

/** On one machine, any free port is used, so two training runs can run at the same time. */
async function portWords({ engine }: TrlPlan): Promise<string[]> {
  if (engine.machines > 1) return [];
  return ['--main_process_port', String(engine.mainProcessPort ?? (await freePort()))];
}
