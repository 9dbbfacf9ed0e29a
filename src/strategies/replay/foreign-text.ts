import { faultOfId } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';

/** What a file of another program says about one query. */
export interface ForeignTexts {
  id: string;
  /** One text, or several. */
  texts: string[];
  /** 1-based line on which it begins. */
  line: number;
}

export const REPLAY_FORMATS = ['querygym', 'beir', 'topics', 'jsonl'] as const;
export type ReplayFormat = (typeof REPLAY_FORMATS)[number];

/** A longer text of one query is an error, so that no file can exhaust memory. */
export const MOST_CHARACTERS = 1 << 20;

/** Where a text stands, for errors. */
interface Place {
  file: string;
  line: number;
  id?: string | undefined;
}

/** @throws DataError for an id that judgements and runs cannot hold */
export function checkId(id: string, place: Place): string {
  const fault = faultOfId(id);
  if (fault === undefined) return id;
  throw new DataError(`the id of the query: ${fault}`, {
    ...place,
    fix: 'Give the query the id that the data set has.',
  });
}

/** @throws DataError */
export function checkLength(characters: number, place: Place): void {
  if (characters <= MOST_CHARACTERS) return;
  throw new DataError(`the text of one query is longer than ${MOST_CHARACTERS} characters`, {
    ...place,
    fix: 'Check that this is the right file and format (--format); a quotation mark may lack its end.',
  });
}
