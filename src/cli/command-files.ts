import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
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

/** Files that make up a model's or an adapter's folder: others in it may be a user's own. */
const MODEL_FILE =
  /\.(safetensors|bin|gguf|pt|pth|onnx|model|tiktoken|jinja|index\.json)$|^(tokenizer|config|vocab|merges|special_tokens|added_tokens|generation_config|modules|sentence_bert|adapter_config|preprocessor)[^/]*\.(json|txt)$/;

/**
 * What a command reads of models and adapters on this machine: nothing may be written onto it. Names of known models and
 * addresses of servers have no files.
 * @param option such as `--encoder`
 */
export function modelFiles(option: string, ...models: (string | undefined)[]): Record<string, string> {
  const entries = models
    .filter((model) => model !== undefined)
    .filter((model) => statOf(model) !== undefined)
    .flatMap((model) => [
      [`${option} ${model}`, model],
      ...partsOf(model).map((part) => [`${relative(dirname(model), part)} of ${option} ${model}`, part]),
    ]);
  return Object.fromEntries(entries);
}

/** The model files of a folder and its modules (`1_Pooling`), or the parts of a GGUF file that is split. */
function partsOf(model: string): string[] {
  if (!statOf(model)?.isDirectory()) {
    const [, stem] = /^(.*)-\d{5}-of-\d{5}\.gguf$/.exec(basename(model)) ?? [];
    const isPart = (name: string) => stem !== undefined && name.startsWith(`${stem}-`) && name.endsWith('.gguf');
    return filesIn(dirname(model))
      .filter(isPart)
      .map((name) => join(dirname(model), name));
  }
  const modules = filesIn(model).filter((name) => /^\d+_/.test(name));
  return ['', ...modules].flatMap((module) =>
    filesIn(join(model, module))
      .filter((name) => MODEL_FILE.test(name))
      .map((name) => join(model, module, name)),
  );
}

function statOf(path: string) {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
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

/** The files of a command that writes one file of records from training queries, by default beside their data set. */
export function writtenRecords(
  given: {
    dataset?: string | undefined;
    triples?: string | undefined;
    prompt?: string | undefined;
    generator: readonly string[];
    adapter?: readonly string[] | undefined;
    out?: string | undefined;
  },
  name: string,
): CommandFiles {
  const { dataset, triples, prompt, generator, adapter } = given;
  const out = given.out ?? join(dataset ?? dirname(triples ?? '.'), name);
  const { inputs, inputFolders } = datasetFiles(dataset);
  return {
    inputs: {
      ...{ ...inputs, '--triples': triples, '--prompt': prompt },
      ...modelFiles('--generator', ...generator),
      ...modelFiles('--adapter', ...(adapter ?? [])),
    },
    inputFolders,
    outputs: recordFiles('--out', out),
  };
}
