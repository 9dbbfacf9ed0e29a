import { AbortedError, LlmQeError, UsageError } from '../../system/index.ts';

/** A check of a part of a recipe before anything is run. */
export interface RecipeCheck {
  /** The checked part: a key or a section of the recipe. */
  input: string;
  /** Describes what was found. @throws LlmQeError if the run would fail */
  find(): Promise<string>;
}

/** A synchronous check. */
export function check(input: string, find: () => string): RecipeCheck {
  return { input, find: async () => find() };
}

/** A check that opens something and closes it again. */
export function loadCheck(input: string, open: () => Promise<{ id: string; close?(): Promise<void> }>): RecipeCheck {
  return {
    input,
    async find() {
      const opened = await open();
      await opened.close?.();
      return opened.id;
    },
  };
}

/** Runs the checks in order. @throws the first fault; usage errors name the checked part */
export async function passChecks(checks: readonly RecipeCheck[]): Promise<void> {
  for (const { input, find } of checks) {
    await find().catch((error: unknown) => {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(`${input}: ${error.message}`, { fix: error.fix, cause: error });
    });
  }
}

/** Runs all checks and reports all faults at once. @throws the fault, or an error that lists several */
export async function passAllChecks(checks: readonly RecipeCheck[]): Promise<void> {
  const faults: { input: string; fault: LlmQeError }[] = [];
  for (const { input, find } of checks) {
    await find().catch((error: unknown) => {
      if (!(error instanceof LlmQeError) || error instanceof AbortedError) throw error;
      faults.push({ input, fault: error });
    });
  }
  const first = faults[0]?.fault;
  if (first === undefined) return;
  if (faults.length === 1) throw first;
  const listed = faults.map(({ input, fault }) => `${input}: ${fault.message}`).join('; ');
  const fixes = [...new Set(faults.map(({ fault }) => fault.fix))].join(' ');
  throw new UsageError(`${faults.length} faults stop the run: ${listed}`, { fix: fixes, cause: first });
}
