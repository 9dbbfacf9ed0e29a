import { z } from 'zod';

/** An option that holds several numbers with commas between them: `0,.1,.2`. */
export function numberList({ from, to, what }: { from: number; to: number; what: string }) {
  return z.string().transform((words, context) => {
    const numbers = words.split(',').map((word) => (word.trim() === '' ? Number.NaN : Number(word)));
    if (numbers.every((number) => number >= from && number <= to)) return numbers;
    context.addIssue(`expected ${what} from ${from} to ${to}, with commas between them`);
    return z.NEVER;
  });
}
