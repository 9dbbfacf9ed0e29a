import { z } from 'zod';

/** An option that holds several comma-separated numbers: `0,.1,.2`. */
export function numberList({ from, to, what }: { from: number; to: number; what: string }) {
  return z.string().transform((words, context) => {
    const numbers = words.split(',').map((word) => (word.trim() === '' ? Number.NaN : Number(word)));
    if (numbers.every((number) => number >= from && number <= to)) return numbers;
    context.addIssue(`expected comma-separated ${what} from ${from} to ${to}`);
    return z.NEVER;
  });
}
