import { z } from 'zod';
import { checkBeir, type DatasetCheck, type TextCounts } from '../../data/index.ts';
import { counted, DataError, UsageError } from '../../system/index.ts';
import { defineCommand } from '../command.ts';

const options = z.object({
  dir: z.string().optional().describe("folder of a data set in BEIR's layout"),
  dataset: z.string().optional().describe('the same, as in all other commands').meta({ valueName: 'DIR' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});

/** `llm-qe data check`. */
export const command = defineCommand({
  name: 'data check',
  summary: "read a complete data set in BEIR's layout and list its faults",
  description: 'Errors make the command fail (exit code 1); warnings do not.',
  arguments: [{ key: 'dir', required: false }],
  options,
  examples: [['llm-qe data check data/scifact', 'count and check the documents, queries and judgements']],
  async run(given, context) {
    const check = await checkBeir(folderOf(given), context);
    const errors = check.problems.filter(({ level }) => level === 'error');
    for (const line of describe(check)) context.say(line);
    context.json({ ok: errors.length === 0, ...check });
    if (errors.length === 0) return;
    throw new DataError(
      `the data set has errors: ${errors.map(({ what, count }) => `${what} (${count})`).join('; ')}`,
      {
        file: check.folder,
        fix: 'Fix the faults listed above, and check again.',
      },
    );
  },
});

function folderOf({ dir, dataset }: z.output<typeof options>): string {
  if (dir !== undefined && dataset !== undefined) {
    throw new UsageError('the data set is given twice', { fix: 'Pass DIR or --dataset DIR.' });
  }
  const folder = dir ?? dataset;
  if (folder === undefined)
    throw new UsageError('no data set is given', { fix: 'Pass its folder: `llm-qe data check DIR`.' });
  return folder;
}

function* describe({ name, documents, queries, splits, problems, notes }: DatasetCheck): Generator<string> {
  yield `${name}`;
  yield `  documents: ${describeTexts(documents)}`;
  yield `  queries: ${describeTexts(queries)}${queries.withExpansions > 0 ? `, ${queries.withExpansions} with expansions` : ''}`;
  for (const [split, { judgements, relevant, queries: judged, withoutRelevant }] of Object.entries(splits)) {
    const without = withoutRelevant > 0 ? `, ${withoutRelevant} of them without a relevant document` : '';
    yield `  ${split}: ${counted(judgements, 'judgement')} (${relevant} relevant) for ${counted(judged, 'query')}${without}`;
  }
  for (const note of notes) yield `note: ${note}`;
  for (const { level, what, count, examples } of problems) {
    yield `${level}: ${what}: ${count}`;
    for (const example of examples) yield `    ${example}`;
    if (count > examples.length && examples.length > 0) yield `    and ${count - examples.length} more`;
  }
  if (problems.length === 0) yield 'no problems found';
}

function describeTexts({ count, meanCharacters, meanWords }: TextCounts): string {
  return `${count}, on average ${meanWords} words, ${meanCharacters} characters`;
}
