import { LlmQeError, UsageError } from '../../system/index.ts';

/** A part of a recipe that can be found wrong before anything is run. */
export interface RecipeCheck {
  /** The part: a key or a section of the recipe. */
  input: string;
  /** Says what was found. @throws LlmQeError if the run would fail */
  find(): Promise<string>;
}

/** A check whose answer is there at once. */
export function check(input: string, find: () => string): RecipeCheck {
  return { input, find: async () => find() };
}

/** @throws the first fault, naming the part; files that are not there name themselves */
export async function passChecks(checks: readonly RecipeCheck[]): Promise<void> {
  for (const { input, find } of checks) {
    await find().catch((error: unknown) => {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(`${input}: ${error.message}`, { fix: error.fix, cause: error });
    });
  }
}

/** Passes all checks and tells all faults at once. @returns them in order */
export async function faultsOf(checks: readonly RecipeCheck[]): Promise<{ input: string; fault: LlmQeError }[]> {
  const faults: { input: string; fault: LlmQeError }[] = [];
  for (const { input, find } of checks) {
    await find().catch((error: unknown) => {
      if (!(error instanceof LlmQeError)) throw error;
      faults.push({ input, fault: error });
    });
  }
  return faults;
}
