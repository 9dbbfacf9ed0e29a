import { z } from 'zod';
import { DataError, type FaultPlace } from '../system/index.ts';

/** Two whole numbers beyond 2^53 may be read as one. */
function isExact(id: number): boolean {
  return Number.isSafeInteger(id) || !Number.isInteger(id);
}

/** An identifier in a JSON file: a string that is not empty, or a number, which is read as its decimal text. */
export const idSchema = z.union([z.string().min(1, 'is empty'), z.number().refine(isExact).transform(String)], {
  error: 'expected an identifier (a string, or a number that can be read exactly)',
});

const UNFIT = {
  /** Columns are split at white space (C's `isspace`, as trec_eval does). */
  trec: { pattern: /[ \t\n\v\f\r]/, format: 'a TREC file', what: 'white space' },
  tsv: { pattern: /[\t\n\r]/, format: 'a TSV file', what: 'a tab or a line end' },
};

/** Refuses to write an identifier that the format would tear apart. @throws DataError */
export function checkWritable(id: string, format: keyof typeof UNFIT, place: FaultPlace): void {
  const { pattern, format: name, what } = UNFIT[format];
  if (id !== '' && !pattern.test(id)) return;
  throw new DataError(
    id === '' ? 'the identifier is empty' : `the identifier holds ${what}, which ${name} cannot carry`,
    {
      ...place,
      id,
      fix: 'Rename this identifier in the corpus, the queries and the judgements.',
    },
  );
}

/** Refuses an identifier that was seen before. @throws DataError */
export function duplicateId(file: string, line: number, id: string, what: string): DataError {
  return new DataError(`this ${what} was given on an earlier line already`, {
    file,
    line,
    id,
    fix: `Remove one of the two, or give one another identifier (\`llm-qe data check\` lists them all).`,
  });
}
