import { type FaultOptions, LlmQeError } from '../../system/index.ts';

/** The loss or a gradient became NaN, infinite, or too large to go on with; the state before that step is kept. */
export class DivergedError extends LlmQeError {
  /** The optimiser step, counted from 1, that could not be taken. */
  readonly step: number;
  /** The parameter whose gradient it was; undefined where it was the loss. */
  readonly parameter: string | undefined;

  constructor(reason: string, options: Omit<FaultOptions, 'mend'> & { step: number; parameter?: string }) {
    super(reason, {
      mend: 'Train in another folder with a lower learning rate, warm-up steps or maxGradientNorm, and check the examples.',
      ...options,
    });
    this.step = options.step;
    this.parameter = options.parameter;
  }
}
