import { hash64 } from '../../files/index.ts';

/** Returns 64 bits of hash of a text, as a short string. Texts that differ only in white space count as equal. */
export function textKeyOf(text: string): string {
  const [low, high] = hash64(text.trim().replace(/\s+/g, ' '));
  return `${high.toString(36)}.${low.toString(36)}`;
}
