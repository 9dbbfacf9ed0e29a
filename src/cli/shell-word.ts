/** A word as it is typed into a shell: quoted where it must be, so that a line that is printed can be copied. */
export function shellWord(word: string): string {
  const plain = word.replace(/\s+/g, ' ');
  if (/^[\w./:=@%+,-]+$/.test(plain)) return plain;
  if (!/["$`\\!]/.test(plain)) return `"${plain}"`;
  return `'${plain.replaceAll("'", `'\\''`)}'`;
}
