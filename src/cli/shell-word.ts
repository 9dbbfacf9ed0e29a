import { isAbsolute, relative, resolve } from 'node:path';

/** A word as it is typed into a shell: quoted where it must be, so that a line that is printed can be copied. */
export function shellWord(word: string): string {
  const plain = word.replace(/\s+/g, ' ');
  if (/^[\w./:=@%+,-]+$/.test(plain)) return plain;
  if (!/["$`\\!]/.test(plain)) return `"${plain}"`;
  return `'${plain.replaceAll("'", `'\\''`)}'`;
}

/** A path as one would type it here: relative if it lies below the present folder. */
export function shortPath(path: string): string {
  const inside = relative('.', path);
  return inside === '' || inside.startsWith('..') || isAbsolute(inside) ? resolve(path) : inside;
}
