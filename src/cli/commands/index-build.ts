import { z } from 'zod';
import { exactRetrievalSettings, passagesOption } from '../../retrieve/index.ts';
import { INDEX_RETRIEVERS, IndexWriter } from '../../segments/index.ts';
import { defineCommand } from '../command.ts';
import { modelFiles } from '../command-files.ts';
import {
  documentsArgument,
  encoderSource,
  indexArgument,
  jsonOption,
  readDocuments,
  sayChanged,
} from '../index-changes.ts';
import { encoderOptions } from '../several-machines.ts';

const { analyzer, fields } = exactRetrievalSettings;

const options = z.object({
  index: indexArgument,
  documents: documentsArgument,
  retriever: z
    .enum(INDEX_RETRIEVERS)
    .default('rrf')
    .describe('what the index can be searched with: dense (vectors), bm25 (which needs no encoder), or rrf (both)'),
  passages: passagesOption,
  ...{ analyzer, fields },
  ...encoderOptions,
  json: jsonOption,
});

export const command = defineCommand({
  name: 'index build',
  summary: 'make an index folder of documents, or bring it up to date with them',
  description:
    'Makes a folder with the documents, their vectors and their BM25 lists, which `search --corpus`, `serve --index` and\n`evaluate --corpus` search, and `index add` and `index remove` change. If the index is there, only what is new or changed is\nencoded, and documents that are not among these are removed. If interrupted, the same command resumes.',
  arguments: [
    { key: 'index', required: true },
    { key: 'documents', required: true, variadic: true },
  ],
  options,
  examples: [
    ['llm-qe index build my-index docs.jsonl', 'vectors of the default encoder, and BM25'],
    ['llm-qe index build my-index docs.jsonl --passages 150/50', 'long documents in passages of 150 words'],
    ['llm-qe index build my-index docs.jsonl --retriever bm25', 'BM25 alone'],
    ['llm-qe search --corpus my-index --query "how do I rotate a key" --retriever rrf', 'and search it'],
  ],
  files: ({ index, documents, encoder }) => ({
    inputs: { ...documentFiles(documents), ...modelFiles('--encoder', encoder) },
    outputFolders: { INDEX: index },
  }),
  async run(given, context) {
    const { retriever, passages, analyzer: words, fields: parts } = given;
    const settings = { retriever, ...(passages !== undefined && { passages }), analyzer: words, fields: parts };
    const { signal, progress } = context;
    const encoder = encoderSource(given, context);
    const changed = await IndexWriter.change(given.index, settings, { encoder, signal, progress }, (writer) =>
      writer.add(readDocuments(given.documents, signal), true),
    );
    sayChanged(given.index, changed, context);
  },
});

function documentFiles(paths: readonly string[]): Record<string, string> {
  return Object.fromEntries(paths.filter((path) => path !== '-').map((path) => [path, path]));
}
