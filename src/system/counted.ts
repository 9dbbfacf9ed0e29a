/**
 * Writes a number with its noun, and the verb after it if there is one: `1 row`, `1,200 queries`, `1 row has`.
 * @param many default: `one` with an s, or with -ies for a final y
 */
export function counted(
  count: number,
  one: string,
  many = one.endsWith('y') ? `${one.slice(0, -1)}ies` : `${one}s`,
): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;
}
