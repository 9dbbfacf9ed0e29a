import type { Synset } from './lexicon.ts';

/**
 * Counts how often each term is used in the database's own definitions and examples. This measures how familiar a term is, because
 * lexicographers use well-known words in their explanations.
 *
 * @param keyOf returns the common key of a term's spellings: its words without blanks, in lower case
 * @returns key → number of uses, in the singular or with a plural s
 */
export function countUses(synsets: ReadonlyMap<string, Synset>, keyOf: (text: string) => string): Map<string, number> {
  const uses = new Map<string, number>();
  const beginnings = new Set<string>();
  for (const { words } of synsets.values()) {
    for (const word of words) {
      uses.set(keyOf(word), 0);
      let beginning = '';
      for (const token of tokensOf(word).slice(0, -1)) {
        beginning += token;
        beginnings.add(beginning);
      }
    }
  }
  for (const { definition, examples } of synsets.values()) {
    for (const text of [definition, ...examples]) countIn(tokensOf(text), beginnings, uses);
  }
  return uses;
}

function countIn(tokens: readonly string[], beginnings: ReadonlySet<string>, uses: Map<string, number>): void {
  for (let start = 0; start < tokens.length; start++) {
    let key = '';
    for (let next = start; next < tokens.length && (next === start || beginnings.has(key)); next++) {
      key += tokens[next];
      const known = uses.get(key);
      if (known !== undefined) uses.set(key, known + 1);
      else if (key.endsWith('s')) countSingular(key.slice(0, -1), uses);
    }
  }
}

function countSingular(key: string, uses: Map<string, number>): void {
  const known = uses.get(key);
  if (known !== undefined) uses.set(key, known + 1);
}

function tokensOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}
