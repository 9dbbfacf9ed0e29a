import { type FileListing, findWeightFiles, type ModelFormat } from '../formats/model-files.ts';
import { weightFilesAt } from '../formats/model-folder.ts';

/** Files next to the weights that affect the output of a model. */
const COMPANIONS = new Set([
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'tokenizer.model',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'modules.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
  'router_config.json',
]);

/** A file of a sentence-transformers module, such as `1_Pooling`, or `query_0_Transformer` of a Router. */
const MODULE_FILE = /^([a-z]+_)?\d+_[A-Za-z]+\/(?<name>[^/]+)$/;
const MODULE_WEIGHTS = new Set(['model.safetensors', 'pytorch_model.bin']);

/** The files of a folder or repository that are needed to run a model. */
export interface Selection {
  format: ModelFormat;
  /** The file to open; see `WeightFiles`. */
  entry: string;
  /** Weights and companion files, with forward slashes, in alphabetical order. */
  files: string[];
}

/**
 * Selects the files needed to run a model: the weights ({@link findWeightFiles}), and the settings and tokenizer next
 * to them. For a GGUF model, selects only its parts.
 * @param wanted the .gguf file to use if there are several
 * @throws ModelError if there are no weights, there are several GGUF models and none is chosen, or a shard or part is
 * missing
 */
export async function selectFiles(listing: FileListing, wanted?: string): Promise<Selection> {
  const { format, entry, files } = await findWeightFiles(listing, wanted);
  const companions = format === 'gguf' ? [] : selectCompanions(listing.names);
  return { format, entry, files: [...new Set([...files, ...companions])].sort() };
}

/**
 * Does the same for a local path: a folder, a single-file model, or one shard or part of a model.
 * @returns the folder, and the files in it
 * @throws ModelError
 */
export async function selectAt(path: string): Promise<Selection & { folder: string }> {
  const { folder, names, format, entry, files } = await weightFilesAt(path);
  const companions = format === 'gguf' ? [] : selectCompanions(names);
  return { folder, format, entry, files: [...new Set([...files, ...companions])].sort() };
}

/** Selects the settings, tokenizer and modules next to the weights. */
export function selectCompanions(names: readonly string[]): string[] {
  return names.filter((name) => {
    if (COMPANIONS.has(name)) return true;
    const file = MODULE_FILE.exec(name)?.groups?.name;
    if (file === undefined || !(COMPANIONS.has(file) || MODULE_WEIGHTS.has(file))) return false;
    const twin = name.replace('pytorch_model.bin', 'model.safetensors');
    return twin === name || !names.includes(twin);
  });
}

/** Describes what a selection lacks before it can be run; undefined if it is complete. */
export function describeGap({ format, files }: Pick<Selection, 'format' | 'files'>): string | undefined {
  if (format === 'gguf') return undefined;
  if (!files.includes('config.json')) return 'config.json is missing';
  const tokenizers = ['tokenizer.json', 'vocab.txt', 'tokenizer.model', 'vocab.json'];
  return tokenizers.some((name) => files.includes(name)) ? undefined : 'its tokenizer is missing';
}
