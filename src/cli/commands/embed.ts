import { statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { encodeShard, formatShard, joinVectorShards } from '../../distribute/index.ts';
import { type Encoder, encodeCorpus, VECTOR_CACHE, type VectorFile } from '../../embed/index.ts';
import { ModelStore } from '../../models/index.ts';
import { defaultRetrievalSettings, openCorpus, openEncoder } from '../../retrieve/index.ts';
import { counted } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { modelFiles } from '../command-files.ts';
import { encoderOptions, openQueuedEncoder, queueOptions, refuseTwoWays, shardOptions } from '../several-machines.ts';

const options = z.object({
  corpus: z
    .string()
    .describe('folder with corpus.jsonl, or a file with one {"_id", "title"?, "text"} per line')
    .meta({ valueName: 'DIR|FILE' }),
  ...encoderOptions,
  ...shardOptions,
  ...queueOptions,
  shards: z
    .string()
    .optional()
    .describe('with --shard and --join: folder that all machines share (default: vectors.shards next to the corpus)')
    .meta({ valueName: 'DIR' }),
  json: z.boolean().default(false).describe('print one JSON document'),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  name: 'embed',
  summary: 'embed a corpus, so that searches and evaluations find its vectors in the cache',
  description:
    'Embeds every document and keeps the vectors in the cache, by the content of encoder and text: search, evaluate and the other\ncommands find them there. They embed what is missing themselves, so this command is for large corpora, on several machines. If\ninterrupted, the same command resumes.',
  options,
  examples: [
    ['llm-qe embed --corpus data/nq', 'with the default encoder, on this machine'],
    ['llm-qe embed --corpus data/nq --shard 2/3', 'a third of the work, on a folder that three machines share'],
    ['llm-qe embed --corpus data/nq --join', 'the vectors of all three, into the cache of this machine'],
    ['llm-qe embed --corpus data/nq --queue redis://host:6379', 'by the workers of a queue'],
  ],
  files(given) {
    return {
      inputs: modelFiles('--encoder', given.encoder),
      outputFolders: given.shard !== undefined ? { '--shards': shardsOf(given) } : {},
    };
  },
  async run(given, context) {
    refuseTwoWays(given);
    const corpus = await openCorpus(given.corpus);
    const { signal, progress } = context;
    if (given.join) {
      const into = VECTOR_CACHE.folder();
      const vectors = await joinVectorShards(corpus, { folder: shardsOf(given), into, signal, progress });
      return printWhole(vectors, context);
    }
    const opened = await openOwn(given, context);
    try {
      if (given.shard === undefined) {
        const whole = { folder: VECTOR_CACHE.folder(), corpusHash: await corpus.corpusHash(signal) };
        const count = () => corpus.count(signal);
        const vectors = await encodeCorpus(opened, corpus.documents(signal), { ...whole, count, signal, progress });
        return await printWhole(vectors, context);
      }
      const folder = shardsOf(given);
      const known = VECTOR_CACHE.folder();
      const documents = await encodeShard(opened, corpus, { folder, shard: given.shard, known, signal, progress });
      const name = formatShard(given.shard);
      context.say(`finished shard ${name}: ${counted(documents, 'document')}, encoded by ${opened.id}, in ${folder}`);
      context.say('When all shards are finished, run the same command with --join in place of --shard.');
      context.json({ shard: given.shard, documents, shards: folder });
    } finally {
      await opened.close();
    }
  },
});

function openOwn(given: Options, context: CommandContext): Promise<Encoder> {
  const { signal, progress } = context;
  const { queue } = given;
  if (queue !== undefined) return openQueuedEncoder({ ...given, queue }, context);
  const store = new ModelStore({ offline: given.offline, progress });
  return openEncoder({ ...defaultRetrievalSettings(), ...given }, store, signal, progress);
}

async function printWhole(vectors: VectorFile, context: CommandContext): Promise<void> {
  const { rows, dimensions, folder, manifest } = vectors;
  await vectors.close();
  context.say(
    `${counted(rows, 'document')}, encoded by ${manifest.encoder.id}: ${dimensions} dimensions, in ${folder}`,
  );
  context.json({ documents: rows, dimensions, encoder: manifest.encoder, vectors: folder });
}

/** The folder of the shards: that of a data set, or next to a corpus file. */
function shardsOf({ corpus, shards }: Options): string {
  if (shards !== undefined) return resolve(shards);
  const path = resolve(corpus);
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  return isFolder
    ? join(path, 'vectors.shards')
    : join(dirname(path), `${basename(path).replace(/\.jsonl(\.gz)?$/, '')}.vectors.shards`);
}
