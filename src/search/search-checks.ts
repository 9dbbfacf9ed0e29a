import { UsageError } from '../system/index.ts';

/** What every search refuses. @throws UsageError */
export function checkSearch(queries: number, k: number, dropSelf: readonly string[] | undefined): void {
  if (!Number.isSafeInteger(k) || k < 1) {
    throw new UsageError(`${k} documents a query were asked for`, { mend: 'Ask for 1 or more (a whole number).' });
  }
  if (dropSelf !== undefined && dropSelf.length !== queries) {
    throw new UsageError(`${dropSelf.length} query ids were given for ${queries} queries`, {
      mend: 'Give one id a query, in the order of the queries.',
    });
  }
}
