import { DataError, type FaultOptions, LlmQeError } from '../../system/index.ts';

/** Creates the error for a JSON file of a training folder that is not JSON or lacks a field. */
export function damagedFile(file: string): (cause: unknown) => DataError {
  return (cause) =>
    new DataError('was not written by a training run', {
      file,
      fix: 'The folder is damaged or is not a training folder. Pass another folder, or remove it and train again.',
      cause,
    });
}

/** The loss or a gradient became NaN, infinite, or too large to continue. The state before that step is kept. */
export class DivergedError extends LlmQeError {
  /** The optimiser step that failed, counted from 1. */
  readonly step: number;
  /** The parameter with the faulty gradient; undefined if the loss was at fault. */
  readonly parameter: string | undefined;

  constructor(reason: string, options: Omit<FaultOptions, 'fix'> & { step: number; parameter?: string }) {
    super(reason, {
      fix: 'Check the examples. Then train in another folder with a lower learning rate, with warm-up steps, or with maxGradNorm.',
      ...options,
    });
    this.step = options.step;
    this.parameter = options.parameter;
  }
}
