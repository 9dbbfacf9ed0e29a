import { DataError, type FaultOptions, LlmQeError } from '../../system/index.ts';

/** Makes the error of a JSON file of a training folder that is no JSON, or lacks a field. */
export function damagedFile(file: string): (cause: unknown) => DataError {
  return (cause) =>
    new DataError('is not what a training wrote here', {
      file,
      fix: 'The folder is damaged or not one of a training: name another, or remove it and train again.',
      cause,
    });
}

/** The loss or a gradient became NaN, infinite, or too large to go on with; the state before that step is kept. */
export class DivergedError extends LlmQeError {
  /** The optimiser step, counted from 1, that could not be taken. */
  readonly step: number;
  /** The parameter whose gradient it was; undefined if it was the loss. */
  readonly parameter: string | undefined;

  constructor(reason: string, options: Omit<FaultOptions, 'fix'> & { step: number; parameter?: string }) {
    super(reason, {
      fix: 'Train in another folder with a lower learning rate, warm-up steps or maxGradNorm, and check the examples.',
      ...options,
    });
    this.step = options.step;
    this.parameter = options.parameter;
  }
}
