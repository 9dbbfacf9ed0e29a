/** How a document moved, for the eye and in words. */
export interface Move {
  kind: 'new' | 'lost' | 'up' | 'down' | 'same';
  symbol: string;
  words: string;
}

/** How a document in an arm's list has come there. @param before its rank for the raw query; null if it is not found */
export function moveTo(rank: number, before: number | null, shown: number): Move {
  if (before === null) return { kind: 'new', symbol: '+', words: 'new' };
  if (before > shown) return { kind: 'new', symbol: '+', words: `new, from ${grouped(before)}` };
  if (before === rank) return { kind: 'same', symbol: '=', words: 'same' };
  return before > rank
    ? { kind: 'up', symbol: '▲', words: `up ${before - rank}` }
    : { kind: 'down', symbol: '▼', words: `down ${rank - before}` };
}

/** Where a document of the raw list goes in an arm. @param after its rank there; null if it is not found */
export function moveFrom(rank: number, after: number | null, shown: number): Move {
  if (after === null) return { kind: 'lost', symbol: '✕', words: 'lost' };
  if (after > shown) return { kind: 'lost', symbol: '✕', words: `lost, now ${grouped(after)}` };
  return moveTo(after, rank, shown);
}

export function grouped(count: number): string {
  return count.toLocaleString('en');
}

/** A share or score with four significant digits at most, and a true minus. */
export function signed(value: number): string {
  return value.toFixed(4).replace('-', '−');
}

/** The beginning of a text. */
export function beginning(text: string, characters = 40): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= characters ? line : `${line.slice(0, characters).trimEnd()}…`;
}
