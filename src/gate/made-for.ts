import { z } from 'zod';
import type { Retriever } from '../retrieve/index.ts';

/** The search that something was tuned or trained for: its kind, and every setting that decides scores. */
export const madeForSchema = z.strictObject({
  retriever: z.enum(['dense', 'bm25', 'rrf']),
  settings: z
    .record(z.string().max(200), z.union([z.string().max(2000), z.number(), z.boolean()]))
    .refine((settings) => Object.keys(settings).length <= 200, 'more than 200 settings'),
});
export type MadeFor = z.output<typeof madeForSchema>;

/** Settings that tuning and gates choose themselves. */
const CHOSEN = new Set(['alpha', 'alpha chosen by', 'query repeats']);

/** Names of encoders may differ where their keys are equal. */
const NAMES = new Set(['encoder']);

/** Returns what is recorded of a search. */
export function madeFor(retriever: Pick<Retriever, 'name' | 'settings'>): MadeFor {
  const settings = Object.entries(retriever.settings).filter(([name]) => !CHOSEN.has(name));
  return { retriever: retriever.name, settings: Object.fromEntries(settings) };
}

/** Describes how a search differs from the recorded one, setting by setting; nothing for the same search. */
export function otherSettings(recorded: MadeFor, retriever: Pick<Retriever, 'name' | 'settings'>): string[] {
  const now = madeFor(retriever);
  const names = new Set([...Object.keys(recorded.settings), ...Object.keys(now.settings)]);
  const differences = [...names]
    .filter((name) => !NAMES.has(name) && recorded.settings[name] !== now.settings[name])
    .map((name) => `${name}: ${said(recorded.settings[name])}, now ${said(now.settings[name])}`);
  // A key is of no use to a reader: the name says which encoder it was.
  return differences.map((words) =>
    words.startsWith('encoder key: ')
      ? `encoder: ${said(recorded.settings.encoder)}, now ${said(now.settings.encoder)}${
          recorded.settings.encoder === now.settings.encoder ? ' with other weights or settings' : ''
        }`
      : words,
  );
}

function said(value: string | number | boolean | undefined): string {
  return value === undefined ? 'none' : String(value);
}
