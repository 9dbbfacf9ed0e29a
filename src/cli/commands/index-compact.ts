import { z } from 'zod';
import { IndexWriter } from '../../segments/index.ts';
import { defineCommand } from '../command.ts';
import { indexArgument, jsonOption, noEncoder, sayChanged } from '../index-changes.ts';

const options = z.object({ index: indexArgument, json: jsonOption });

export const command = defineCommand({
  name: 'index compact',
  summary: 'merge the segments of an index folder into one, and free the space of removed documents',
  description:
    'Nothing is encoded, and searches find the same as before. While it runs, searches go on; it needs as much free space as the index takes.',
  arguments: [{ key: 'index', required: true }],
  options,
  examples: [['llm-qe index compact my-index', 'after many changes']],
  async run({ index }, context) {
    const { signal, progress } = context;
    const changed = await IndexWriter.change(index, undefined, { encoder: noEncoder, signal, progress }, (writer) =>
      writer.compact(),
    );
    sayChanged(index, changed, context);
  },
});
