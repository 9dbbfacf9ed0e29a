import { z } from 'zod';
import { IndexWriter } from '../../segments/index.ts';
import { defineCommand } from '../command.ts';
import {
  documentsArgument,
  encoderSource,
  indexArgument,
  jsonOption,
  readDocuments,
  sayChanged,
} from '../index-changes.ts';
import { encoderOptions } from '../several-machines.ts';

const { batchSize, maxWait, threads, offline } = encoderOptions;

const options = z.object({
  index: indexArgument,
  documents: documentsArgument,
  ...{ batchSize, maxWait, threads, offline },
  json: jsonOption,
});

export const command = defineCommand({
  name: 'index add',
  summary: 'add documents to an index folder, or replace those with the same ids',
  description:
    'Ten new documents cost ten embeddings; one that is there already costs none; one with a known id and other content replaces the old\none. Searches see all of it or nothing, and a running server soon after. If interrupted, the same command resumes.',
  arguments: [
    { key: 'index', required: true },
    { key: 'documents', required: true, variadic: true },
  ],
  options,
  examples: [
    ['llm-qe index add my-index new.jsonl', 'the documents of a file'],
    ['cat *.jsonl | llm-qe index add my-index - --json', 'from standard input, with counts as JSON'],
  ],
  async run(given, context) {
    const { signal, progress } = context;
    const { index, documents, json: _json, ...others } = given;
    const encoder = encoderSource(z.object(encoderOptions).parse(others), context);
    const changed = await IndexWriter.change(index, undefined, { encoder, signal, progress }, (writer) =>
      writer.add(readDocuments(documents, signal)),
    );
    sayChanged(index, changed, context);
  },
});
