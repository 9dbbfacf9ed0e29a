/** Why a query is better left alone. */
export type RuleReason = 'blank' | 'quoted' | 'identifier' | 'name';

const QUOTED = /"[^"]+"|“[^”]+”|«[^»]+»/;
/** What a single word looks like that names a thing of a machine: `ERR_404`, `src/main.ts`, `utf8mb4`, `getUserById`, `v1.2.3`, `0xff`. */
const IDENTIFIERS = [/[_\\/@#]|\(\)$/, /\p{L}\p{N}/u, /\p{N}\p{L}/u, /\p{Ll}\p{Lu}/u, /^v?\d+(?:\.\d+)+$/];
/** Words of a name. */
const LONGEST_NAME = 3;

/**
 * Returns why an expansion is likely to hurt: quoted words are meant literally, and the name or identifier of a thing has no other
 * words. Undefined if there is no such reason. These rules stand in for a gate that was trained on your data (docs/gate.md).
 */
export function ruleAgainst(query: string): RuleReason | undefined {
  const text = query.trim();
  if (text === '') return 'blank';
  if (QUOTED.test(text)) return 'quoted';
  const words = text.split(/\s+/);
  if (words.length === 1 && IDENTIFIERS.some((one) => one.test(text))) return 'identifier';
  const isName = words.every((word) => /^\p{Lu}[\p{Ll}'’.-]*$|^\p{Lu}{2,}$/u.test(word));
  if (words.length <= LONGEST_NAME && isName) return 'name';
  return undefined;
}
