import { z } from 'zod';
import { DataError, type FaultPlace } from '../system/index.ts';

/** Two whole numbers beyond 2^53 may be read as one. */
function isExact(id: number): boolean {
  return Number.isSafeInteger(id) || !Number.isInteger(id);
}

/**
 * White space of Unicode (a blank, a tab, line ends, a non-breaking space, a byte order mark) and control characters. Some of them
 * part the columns of run files and qrels, others are taken off by the next program: what was one id comes back as another.
 */
const UNFIT_IN_ID = /[\s\p{Cc}\ufeff]/u;
const SHOWN_CHARACTERS = 60;
const EXPECTED = 'expected an identifier (a string, or a number that can be read exactly)';

/** What is wrong with an identifier, or undefined. */
export function faultOfId(id: string): string | undefined {
  if (id === '') return 'is empty';
  const [unfit] = UNFIT_IN_ID.exec(id) ?? [];
  if (unfit === undefined) return undefined;
  const shown = JSON.stringify(id.length > SHOWN_CHARACTERS ? `${id.slice(0, SHOWN_CHARACTERS)}...` : id);
  const code = unfit.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
  return `the identifier ${shown} holds white space or a control character (U+${code}), which run files and judgements cannot carry; rename it everywhere`;
}

/**
 * An identifier in a JSON file: a string that is not empty and holds no white space, or a number, which is read as its decimal
 * text. Ids are checked where data is read, so that none of them fails behind hours of work.
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

/** What the branch for strings says of a string. */
function firstMessage(errors: readonly (readonly z.core.$ZodIssue[])[] | undefined): string | undefined {
  return errors?.flat().find(({ code }) => code === 'custom')?.message;
}

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
