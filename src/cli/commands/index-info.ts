import { z } from 'zod';
import { describeIndex } from '../../segments/index.ts';
import { counted } from '../../system/index.ts';
import { defineCommand } from '../command.ts';
import { indexArgument, jsonOption } from '../index-changes.ts';

const options = z.object({ index: indexArgument, json: jsonOption });

export const command = defineCommand({
  name: 'index info',
  summary: 'tell what an index folder holds',
  description: 'Every file of the current generation is opened and its size checked.',
  arguments: [{ key: 'index', required: true }],
  options,
  examples: [['llm-qe index info my-index --json', 'documents, segments, encoder and settings as JSON']],
  async run({ index }, context) {
    const facts = await describeIndex(index);
    const { documents, deleted, segments, vectors, settings, encoder, bytes, generation } = facts;
    const of = settings.passages === undefined ? 'documents' : `passages of ${settings.passages}`;
    context.say(
      `${counted(documents, 'document')} in ${counted(segments, 'segment')}, ${deleted} deleted ones that take space; generation ${generation}`,
    );
    context.say(`searched with ${settings.retriever}; BM25: ${settings.analyzer}, ${settings.fields}`);
    if (encoder !== undefined) {
      context.say(`${counted(vectors, 'vector')} of ${of}, ${encoder.dimensions} dimensions, by ${encoder.id}`);
    }
    context.say(`${bytes} bytes`);
    if (deleted > documents || segments > 32) context.say('`llm-qe index compact` would make searches faster.');
    context.json({ index, ...facts });
  },
});
