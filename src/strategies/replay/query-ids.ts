/**
 * What stands before the first tab of a line: a query of the data set; one that it lacks, but whose id has the form of its ids; a number
 * that may be such an id or a part of the text; or a part of the text.
 */
export type IdKind = 'known' | 'alike' | 'doubtful' | 'text';

const NUMBER = /^\d+$/;

/** Tells ids of queries from words that stand before a tab in a text. */
export class QueryIds {
  readonly #known: ReadonlySet<string>;
  readonly #forms: ReadonlySet<string>;
  /** The values of ids that are numbers. */
  readonly #numbers: ReadonlySet<string | undefined>;
  /** Numbers of digits that the ids have that are numbers. */
  readonly #digits: { least: number; most: number };

  constructor(known: Iterable<string>) {
    this.#known = new Set(known);
    this.#forms = new Set([...this.#known].filter((id) => !NUMBER.test(id)).map(formOf));
    this.#numbers = new Set([...this.#known].map(numberOf).filter((number) => number !== undefined));
    const lengths = [...this.#known].filter((id) => NUMBER.test(id)).map((id) => id.length);
    const least = lengths.reduce((one, other) => Math.min(one, other), Number.POSITIVE_INFINITY);
    this.#digits = { least, most: lengths.reduce((one, other) => Math.max(one, other), 0) };
  }

  kindOf(id: string): IdKind {
    if (this.#known.has(id)) return 'known';
    // `7` may be what a program made of the id `007`.
    if (this.#numbers.has(numberOf(id))) return 'doubtful';
    if (!NUMBER.test(id)) return this.#forms.has(formOf(id)) ? 'alike' : 'text';
    return id.length >= this.#digits.least && id.length <= this.#digits.most ? 'doubtful' : 'text';
  }
}

/**
 * The form of an id, without the values of its numbers: `PLAIN-2` and `PLAIN-77` have the same. An id of this form that the data set
 * lacks is a query of a larger set, and must not become text of the query before it.
 */
function formOf(id: string): string {
  return id.replace(/\d+/g, '0');
}

/** Returns the number that an id is, without what other programs drop or add: `0042` and `42.0` give `42`. */
export function numberOf(id: string): string | undefined {
  const [, digits] = /^0*(\d+?)(?:\.0)?$/.exec(id) ?? [];
  return digits;
}
