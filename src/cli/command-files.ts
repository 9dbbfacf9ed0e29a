import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandFiles } from '../system/index.ts';

/** What a command reads from a data set in BEIR's layout. No output may overwrite these files. */
export function datasetFiles(folder: string | undefined): Required<Pick<CommandFiles, 'inputs' | 'inputFolders'>> {
  if (folder === undefined) return { inputs: {}, inputFolders: {} };
  const names = ['corpus.jsonl', 'corpus.jsonl.gz', 'queries.jsonl', 'queries.jsonl.gz'];
  const judgements = filesIn(join(folder, 'qrels')).map((name) => join('qrels', name));
  return {
    inputs: Object.fromEntries([...names, ...judgements].map((name) => [`the data set's ${name}`, join(folder, name)])),
    inputFolders: { "the data set's qrels": join(folder, 'qrels') },
  };
}

/** The files that make up each adapter in PEFT's layout. */
export function adapterFiles(...adapters: (string | undefined)[]): Record<string, string> {
  const names = ['adapter_config.json', 'adapter_model.safetensors', 'adapter_model.bin'];
  const entries = adapters
    .filter((adapter) => adapter !== undefined)
    .flatMap((adapter) => [
      [`--adapter ${adapter}`, adapter],
      ...names.map((name) => [`${name} of --adapter ${adapter}`, join(adapter, name)]),
    ]);
  return Object.fromEntries(entries);
}

/** A file of records, with the manifest and the journal that belong to it. */
export function recordFiles(option: string, file: string): Record<string, string> {
  return {
    [option]: file,
    [`the manifest of ${option}`]: `${file.replace(/\.jsonl$/, '')}.manifest.json`,
    [`the journal of ${option}`]: `${file}.journal`,
  };
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
