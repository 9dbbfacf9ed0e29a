import { isAbsolute, relative, resolve } from 'node:path';

/** Quotes a word for the shell if needed, so that a printed command line can be copied. */
export function shellWord(word: string): string {
  const plain = word.replace(/\s+/g, ' ');
  if (/^[\w./:=@%+,-]+$/.test(plain)) return plain;
  if (!/["$`\\!]/.test(plain)) return `"${plain}"`;
  return `'${plain.replaceAll("'", `'\\''`)}'`;
}

/** Shortens a path: relative if it is inside the current folder, absolute otherwise. */
export function shortPath(path: string): string {
  const inside = relative('.', path);
  return inside === '' || inside.startsWith('..') || isAbsolute(inside) ? resolve(path) : inside;
}
