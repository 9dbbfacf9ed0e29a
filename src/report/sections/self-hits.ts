import type { SuiteRow } from '../suite-data.ts';

/** Says for a row what happens to a document with the id of the query; where systems differ, for each of them. */
export function selfHitsOf({ cells }: Pick<SuiteRow, 'cells'>): string {
  const systems = new Map<string, string[]>();
  for (const [system, { selfHits }] of Object.entries(cells)) {
    const rule = shortRule(selfHits);
    systems.set(rule, [...(systems.get(rule) ?? []), system]);
  }
  if (systems.size === 1) return [...systems.keys()][0]!;
  return [...systems].map(([rule, names]) => `${rule} (${names.join(', ')})`).join('; ');
}

/** `left out`, instead of a sentence. */
function shortRule(rule: string): string {
  return rule.replace(/^a document with the id of the query is /, '').replace(/, which judge it relevant$/, '');
}

export const SELF_HITS_IN_WORDS = 'Self hits: what happens to a document with the id of the query';
