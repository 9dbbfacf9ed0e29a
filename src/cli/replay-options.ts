import { join } from 'node:path';
import { z } from 'zod';
import type { BeirDataset } from '../data/index.ts';
import { DEFAULT_COMBINATION } from '../retrieve/index.ts';
import { REPLAY_FORMATS, type ReplayResult, replayExpansions } from '../strategies/index.ts';
import { counted, inGroup, UsageError } from '../system/index.ts';
import type { CommandContext } from './command.ts';

/** Options for expansions that another program wrote. */
export const replayOptions = inGroup('Texts of another program:', {
  from: z
    .string()
    .optional()
    .describe('instead of writing: make expansions.jsonl of the texts in this file; no language model is asked')
    .meta({ valueName: 'FILE' }),
  format: z
    .enum(REPLAY_FORMATS)
    .optional()
    .describe(
      "with --from: QueryGym's *.queries.tsv, BEIR's queries with expansions, TREC topics, or JSONL (default: guessed)",
    ),
  fields: z
    .string()
    .transform((words, context) => {
      const pairs = words.split(',').map((word) => word.split('='));
      if (pairs.every(([name, field, ...more]) => isField(name) && field && more.length === 0)) {
        return Object.fromEntries(pairs) as { id?: string; text?: string };
      }
      context.addIssue('expected id=NAME,text=NAME');
      return z.NEVER;
    })
    .optional()
    .describe('with --format jsonl: the fields that hold the id and the text')
    .meta({ valueName: 'id=NAME,text=NAME' }),
  writer: z
    .string()
    .optional()
    .describe("with --from: who wrote the texts, for reports (default: the file's name)")
    .meta({ valueName: 'NAME' }),
});

function isField(name: string | undefined): boolean {
  return name === 'id' || name === 'text';
}

const schema = z.object(replayOptions);
type ReplayChoice = z.output<typeof schema>;

/** Refuses options that have no effect with, or without, `--from`. @throws UsageError */
export function refuseIdleReplay(
  { from, format, fields, writer }: ReplayChoice,
  written: Readonly<Record<string, unknown>>,
): void {
  const others = from === undefined ? { '--format': format, '--fields': fields, '--writer': writer } : written;
  const idle = Object.entries(others).find(([, value]) => value !== undefined);
  if (idle !== undefined) {
    throw new UsageError(from === undefined ? `${idle[0]} needs --from` : `--from and ${idle[0]} cannot be combined`, {
      fix:
        from === undefined
          ? `Add --from FILE, or omit ${idle[0]}.`
          : 'With --from, nothing is written by a model: omit one.',
    });
  }
  if (fields !== undefined && format !== undefined && format !== 'jsonl') {
    throw new UsageError(`--fields has no effect with --format ${format}`, {
      fix: 'Omit --fields, or pass --format jsonl.',
    });
  }
}

/** Makes expansions of the file in `--from`, and prints what was found. */
export async function replay(
  given: ReplayChoice & { from: string; out?: string | undefined; force: boolean },
  dataset: BeirDataset,
  queries: readonly { id: string; text: string }[],
  context: CommandContext,
): Promise<void> {
  const { from, fields, writer, force } = given;
  const format = given.format ?? (fields === undefined ? undefined : 'jsonl');
  const out = given.out ?? join(dataset.folder, 'expansions.jsonl');
  const { signal, progress } = context;
  const result = await replayExpansions({
    dataset,
    queries,
    from,
    format,
    fields,
    writer,
    out,
    force,
    signal,
    progress,
  });
  context.json({ dataset: dataset.name, ...result });
  print(result, context);
}

function print(result: ReplayResult, { say, warn }: CommandContext): void {
  const { files, format, isGuessed, writer, queries, expansions, missing, missingIds, others } = result;
  const { combination, isRuleKnown } = result;
  say(`${counted(expansions - missing, 'expansion')} of ${counted(queries - missing, 'query')} by ${writer}`);
  say(`format ${format}${isGuessed ? ' (guessed from the first line; --format overrides it)' : ''}`);
  const { queryRepeats } = combination;
  if (!isRuleKnown) {
    warn(
      `no rule explains how often the query stands before the texts; a lexical search repeats it ${queryRepeats} times, and \`evaluate --as-is\` as often as in the file`,
    );
  } else if (queryRepeats !== DEFAULT_COMBINATION.queryRepeats) say(`query repeats: ${queryRepeats}, as in the file`);
  if (others > 0) say(`${counted(others, 'query', 'queries')} of the file belong to no query of this split`);
  if (missing > 0) {
    warn(
      `${counted(missing, 'query has', 'queries have')} no text in the file (such as ${missingIds.join(', ')}): searched as they are`,
    );
  }
  say(`wrote ${files.expansions}`);
  say(`wrote ${files.queries}`);
}
