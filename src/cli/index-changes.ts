import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import { BeirDataset, documentSchema } from '../data/index.ts';
import { readJsonl, STANDARD_INPUT } from '../files/index.ts';
import { ModelStore } from '../models/index.ts';
import { type Corpus, defaultRetrievalSettings, openCorpus, openEncoder } from '../retrieve/index.ts';
import type { Changed, EncoderSource, IndexEncoder, PlacedDocument } from '../segments/index.ts';
import { isServerAddress } from '../servers/index.ts';
import { counted, systemFault } from '../system/index.ts';
import type { CommandContext } from './command.ts';
import { encoderOptions } from './several-machines.ts';

export const indexArgument = z.string().describe('folder of the index');
export const documentsArgument = z
  .array(z.string())
  .describe('files with one {"_id", "title"?, "text"} per line, folders with corpus.jsonl, or - for standard input');
export const jsonOption = z.boolean().default(false).describe('print one JSON document');

/** Of commands that search a data set. */
export const corpusOption = z
  .string()
  .optional()
  .describe("folder of `llm-qe index build`, or another corpus, to search in place of the data set's own")
  .meta({ valueName: 'DIR|FILE' });

/** Returns the corpus to search: the data set's own, if no other is given. @throws DataError */
export async function searchedCorpus({ corpus }: { corpus?: string | undefined }, own: BeirDataset): Promise<Corpus> {
  return corpus === undefined ? own : openCorpus(corpus);
}

const encoderSchema = z.object(encoderOptions);
export type EncoderChoice = z.output<typeof encoderSchema>;

/** Reads documents from files, folders and standard input. @throws DataError that names file and line */
export async function* readDocuments(
  paths: readonly string[],
  signal: AbortSignal | undefined,
): AsyncGenerator<PlacedDocument> {
  for (const path of paths) {
    const file = await documentFile(path);
    for await (const { value, line } of readJsonl(file, documentSchema, signal)) yield { document: value, file, line };
  }
}

async function documentFile(path: string): Promise<string> {
  if (path === '-') return STANDARD_INPUT;
  const found = await stat(path).catch((error: unknown) => {
    throw systemFault(error, path);
  });
  return found.isDirectory() ? (await BeirDataset.open(path)).corpusFile : path;
}

/** Options that an index does not record: they decide no vector. */
const UNRECORDED = ['batchSize', 'maxWait', 'threads', 'offline'];

/**
 * Opens the encoder of an index.
 * @param given options of a new index. An index that is there says itself how its encoder is opened; of these only those count that decide
 * no vector
 */
export function encoderSource(given: EncoderChoice, { signal, progress }: CommandContext): EncoderSource {
  const known = encoderSchema.parse(given);
  const decisive = Object.entries(known).filter(([name, value]) => value !== undefined && !UNRECORDED.includes(name));
  const options = Object.fromEntries(decisive.map(([name, value]) => [name, wholePath(name, value as string)]));
  return {
    options,
    async open(recorded: IndexEncoder | undefined) {
      const others = Object.fromEntries(Object.entries(known).filter(([name]) => UNRECORDED.includes(name)));
      const chosen = encoderSchema.parse({ ...(recorded?.options ?? options), ...others });
      const store = new ModelStore({ offline: known.offline, progress });
      return openEncoder({ ...defaultRetrievalSettings(), ...chosen }, store, signal, progress);
    },
  };
}

/** For changes that encode nothing. */
export const noEncoder: EncoderSource = {
  options: {},
  open: () => Promise.reject(new Error('this change encodes nothing')),
};

/** A folder is recorded by its whole path: the next command may run elsewhere. */
function wholePath(name: string, value: string): string {
  const isPath = name === 'encoder' && /[/\\]|^\.+$/.test(value) && !isServerAddress(value) && !/^[a-z]+:/.test(value);
  return isPath ? resolve(value) : value;
}

/** Prints what a change did. */
export function sayChanged(folder: string, changed: Changed, context: CommandContext): void {
  const { added, replaced, unchanged, removed, missing, encoded, documents, segments } = changed;
  const parts = [
    ...[`${added} added`, `${replaced} replaced`, `${removed} removed`, `${unchanged} unchanged`],
    ...(missing > 0 ? [`${missing} not there`] : []),
    `${counted(encoded, 'text')} encoded`,
  ];
  context.say(parts.join(', '));
  context.say(`${counted(documents, 'document')} in ${counted(segments, 'segment')}, in ${folder}`);
  context.json({ index: folder, ...changed });
}
