import { z } from 'zod';
import { faultOfId, readLines, STANDARD_INPUT } from '../../files/index.ts';
import { IndexWriter } from '../../segments/index.ts';
import { DataError, UsageError } from '../../system/index.ts';
import { defineCommand } from '../command.ts';
import { indexArgument, jsonOption, noEncoder, sayChanged } from '../index-changes.ts';

const options = z.object({
  index: indexArgument,
  ids: z.array(z.string()).default([]).describe('ids of documents'),
  idsFile: z
    .string()
    .optional()
    .describe('file with one id per line, or - for standard input')
    .meta({ valueName: 'FILE' }),
  json: jsonOption,
});

export const command = defineCommand({
  name: 'index remove',
  summary: 'remove documents from an index folder',
  description:
    'The documents are found no more, and count no more in the statistics of BM25, from the next search on;\na running server sees it a moment later. `llm-qe index compact` frees their\nspace. Ids that are not there are counted, and are no error.',
  arguments: [
    { key: 'index', required: true },
    { key: 'ids', required: false, variadic: true },
  ],
  options,
  examples: [
    ['llm-qe index remove my-index doc-17 doc-23', 'two documents'],
    ['llm-qe index remove my-index --ids-file gone.txt', 'those whose ids are in a file'],
  ],
  files: ({ idsFile }) => ({ inputs: { '--ids-file': idsFile === '-' ? undefined : idsFile } }),
  async run({ index, ids, idsFile }, context) {
    const wanted = [...checked(ids), ...(idsFile === undefined ? [] : await readIds(idsFile, context.signal))];
    if (ids.length === 0 && idsFile === undefined) {
      throw new UsageError('no documents were named', { fix: 'Pass ids, or --ids-file FILE.' });
    }
    const { signal, progress } = context;
    const changed = await IndexWriter.change(index, undefined, { encoder: noEncoder, signal, progress }, (writer) =>
      writer.remove(wanted),
    );
    sayChanged(index, changed, context);
  },
});

function checked(ids: readonly string[]): readonly string[] {
  for (const id of ids) {
    const fault = faultOfId(id);
    if (fault !== undefined) throw new UsageError(fault, { fix: 'Pass ids as the documents have them.' });
  }
  return ids;
}

/** @throws DataError for a line that is no id */
async function readIds(path: string, signal: AbortSignal): Promise<string[]> {
  const file = path === '-' ? STANDARD_INPUT : path;
  const ids: string[] = [];
  for await (const { text, line } of readLines(file, { signal })) {
    const fault = faultOfId(text.trim());
    if (fault !== undefined) throw new DataError(fault, { file, line, fix: 'Write one id per line.' });
    ids.push(text.trim());
  }
  return ids;
}
