import type { QueryRepeats } from '../../search/index.ts';

/** A text without the query that stands before it, and how often it stood there. */
export interface StrippedText {
  text: string;
  repeats: number;
}

/**
 * Cuts off a query that stands before a text, once or several times, each followed by white space. Case does not matter: CSQE's
 * texts are lower-cased.
 *
 * @param most do not cut it off more often
 */
export function stripQuery(text: string, query: string, most = Number.POSITIVE_INFINITY): StrippedText {
  const asked = query.trim();
  const wanted = asked.toLowerCase();
  if (asked === '') return { text, repeats: 0 };
  let start = 0;
  let repeats = 0;
  while (repeats < most && text.slice(start, start + asked.length).toLowerCase() === wanted) {
    const end = start + asked.length;
    if (end < text.length && !/\s/.test(text[end]!)) break;
    start = Math.min(end + 1, text.length);
    repeats++;
  }
  return { text: text.slice(start), repeats };
}

/** Divisors of MuGI's formula that are tried: its paper and code have 4 to 6, QueryGym 5. */
const BETAS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
/** The share of texts that a rule has to explain: a text may begin with the query by itself. */
const FITTING = 0.9;

/** Finds the rule by which the queries of a file were repeated, from one text after the other. */
export class RepeatRule {
  readonly #counts = new Map<number, number>();
  readonly #fitting = BETAS.map(() => 0);
  #total = 0;

  add(text: string, query: string): void {
    const { text: rest, repeats } = stripQuery(text, query);
    this.#total++;
    this.#counts.set(repeats, (this.#counts.get(repeats) ?? 0) + 1);
    const [asked, written] = [[...query.trim()].length, [...rest].length];
    if (asked === 0) return;
    for (const [at, beta] of BETAS.entries()) if (fits(repeats, written, asked, beta)) this.#fitting[at]!++;
  }

  /** Returns the rule, and whether it explains the texts; otherwise, it is the usual number. */
  find(): { repeats: QueryRepeats; isKnown: boolean } {
    const [[usual, times] = [0, 0]] = [...this.#counts].sort(([, a], [, b]) => b - a);
    const least = Math.min(...this.#counts.keys());
    // More than the usual number are texts that begin with the query by themselves.
    if (usual === least && times >= this.#total / 2) return { repeats: usual, isKnown: true };
    const best = this.#fitting.indexOf(Math.max(...this.#fitting));
    if (this.#fitting[best]! >= FITTING * this.#total) return { repeats: `characters:${BETAS[best]!}`, isKnown: true };
    return { repeats: usual, isKnown: false };
  }
}

/** Whether MuGI's formula gives this number, or one less if the text begins with the query by itself. */
function fits(repeats: number, written: number, asked: number, beta: number): boolean {
  const wanted = (characters: number) => Math.max(1, Math.floor(Math.floor(characters / asked) / beta));
  return wanted(written) === repeats || wanted(written + asked + 1) === repeats - 1;
}
