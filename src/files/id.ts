import { z } from 'zod';
import { DataError, type FaultPlace } from '../system/index.ts';

/** Returns whether a number is read exactly: two whole numbers beyond 2^53 may become one. */
function isExact(id: number): boolean {
  return Number.isSafeInteger(id) || !Number.isInteger(id);
}

/**
 * Unicode white space (a blank, a tab, line ends, a non-breaking space, a byte order mark), control characters, and halves of
 * surrogate pairs. Some of them separate the columns of run files and qrels; others are stripped by the next program, or cannot be
 * written as UTF-8. An id with them would not be the same when it is read back.
 */
const UNFIT_IN_ID = /[\s\p{Cc}\p{Cs}\ufeff]/u;
const SHOWN_CHARACTERS = 60;
const EXPECTED = 'expected an identifier (a string, or a number that can be read exactly)';

/** Returns what is wrong with an id; undefined if it is valid. */
export function faultOfId(id: string): string | undefined {
  if (id === '') return 'is empty';
  const [unfit] = UNFIT_IN_ID.exec(id) ?? [];
  if (unfit === undefined) return undefined;
  const shown = JSON.stringify(id.length > SHOWN_CHARACTERS ? `${id.slice(0, SHOWN_CHARACTERS)}...` : id);
  const code = unfit.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
  const what = /\p{Cs}/u.test(unfit) ? 'half of a surrogate pair' : 'white space or a control character';
  return `the identifier ${shown} holds ${what} (U+${code}), which run files and judgements cannot hold; rename it everywhere`;
}

/**
 * An id in a JSON file: a non-empty string without white space, or a number, which is read as its decimal text. Ids are checked
 * when data is read, so that none of them fails after hours of work.
 */
export const idSchema = z.union(
  [
    z.string().superRefine((id, context) => {
      const fault = faultOfId(id);
      if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
    }),
    z.number().refine(isExact, EXPECTED).transform(String),
  ],
  {
    error: (issue) => firstMessage(issue.errors) ?? EXPECTED,
  },
);

/** Returns the message of the branch for strings. */
function firstMessage(errors: readonly (readonly z.core.$ZodIssue[])[] | undefined): string | undefined {
  return errors?.flat().find(({ code }) => code === 'custom')?.message;
}

const UNFIT = {
  /** Columns are split at white space (C's `isspace`, as trec_eval does). */
  trec: { pattern: /[ \t\n\v\f\r]/, format: 'a TREC file', what: 'white space' },
  tsv: { pattern: /[\t\n\r]/, format: 'a TSV file', what: 'a tab or a line end' },
};

/** Refuses to write an id that the format would split. @throws DataError */
export function checkWritable(id: string, format: keyof typeof UNFIT, place: FaultPlace): void {
  const { pattern, format: name, what } = UNFIT[format];
  if (id !== '' && !pattern.test(id)) return;
  throw new DataError(
    id === '' ? 'the identifier is empty' : `the identifier holds ${what}, which ${name} cannot hold`,
    {
      ...place,
      id,
      fix: 'Rename this identifier in the corpus, the queries and the judgements.',
    },
  );
}

/** Returns the error for a duplicate id. */
export function duplicateId(file: string, line: number, id: string, what: string): DataError {
  return new DataError(`this ${what} occurs on an earlier line`, {
    file,
    line,
    id,
    fix: `Remove one of the two, or give one a different id (\`llm-qe data check\` lists them all).`,
  });
}
