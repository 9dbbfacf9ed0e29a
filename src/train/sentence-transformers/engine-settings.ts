import { UsageError } from '../../system/index.ts';
import type { PythonNeeds } from '../python/python-installation.ts';
import type { RetrieverTrainingSettings } from '../retriever/retriever-settings.ts';

/** The oldest releases that the script was run with, and the first that may differ. PEFT is needed for adapters only. */
const PACKAGES = {
  'sentence-transformers': ['5.1', '7'],
  transformers: ['5', '6'],
  accelerate: ['1.10', '2'],
} as const;
const PEFT = { peft: ['0.13', '1'] } as const;

/** What the engine needs of a Python. */
export function needsOf({ loraR }: Pick<RetrieverTrainingSettings, 'loraR'>): PythonNeeds {
  const [from, below] = PACKAGES['sentence-transformers'];
  return {
    name: 'sentence-transformers',
    packages: { ...PACKAGES, ...(loraR !== undefined && PEFT) },
    requirement: `"sentence-transformers[train]>=${from},<${below}"${loraR === undefined ? '' : ' peft'}`,
    program: 'torchrun',
  };
}

/** Figures that the script reports of held-out rows. */
const REPORTED = ['loss', 'accuracy', 'similarity', 'negatives'];

/** Refuses what the engine cannot honour, before any work. @throws UsageError */
export function refuseForEngine(settings: RetrieverTrainingSettings): void {
  const { method, train, earlyStoppingPatience, metricForBestModel, device } = settings;
  if (method === 'ridge') refuse('method: ridge is a closed form, computed in seconds');
  if (train === 'projection') refuse('train: a projection trains one small matrix, which no second machine speeds up');
  if (earlyStoppingPatience !== undefined)
    refuse('earlyStoppingPatience: sentence-transformers trains to the last step');
  if (!REPORTED.includes(metricForBestModel)) {
    throw new UsageError(`metricForBestModel: the engine does not report ${JSON.stringify(metricForBestModel)}`, {
      fix: `Use one of: ${REPORTED.join(', ')}.`,
    });
  }
  if (device !== 'cpu') {
    throw new UsageError('device: sentence-transformers is told its devices by --hardware', { fix: 'Omit device.' });
  }
}

function refuse(reason: string): never {
  throw new UsageError(reason, { fix: 'Omit it, or train with the local engine.' });
}
