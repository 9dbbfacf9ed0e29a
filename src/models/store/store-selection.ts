import type { FileListing } from '../formats/file-listing.ts';
import { findWeightFiles, type ModelFormat, type WeightFiles } from '../formats/model-files.ts';
import { folderListing, weightFilesAt } from '../formats/model-folder.ts';
import { modulesOf, networkFolder, refuseMissingModules } from '../formats/module-list.ts';

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
  /** Folders of its modules. */
  modules: string[];
  /** Folder of its config.json and tokenizer, with a slash; empty for its own. */
  network: string;
}

/**
 * Selects the files needed to run a model: the weights ({@link findWeightFiles}), and the settings and tokenizer next
 * to them. For a GGUF model, selects only its parts.
 * @param wanted the .gguf file to use if there are several
 * @throws ModelError if there are no weights, there are several GGUF models and none is chosen, or a shard or part is
 * missing
 */
export async function selectFiles(listing: FileListing, wanted?: string): Promise<Selection> {
  return select(listing, await findWeightFiles(listing, wanted));
}

async function select(listing: FileListing, { format, entry, files }: WeightFiles): Promise<Selection> {
  if (format === 'gguf') return { format, entry, files: [...files].sort(), modules: [], network: '' };
  const found = await modulesOf(listing);
  refuseMissingModules(listing, found);
  const modules = found.map(({ path }) => path).filter((path) => path !== '');
  const network = networkFolder(found);
  const companions = selectCompanions(listing.names, modules);
  const all = [...new Set([...files, ...companions])].sort();
  return { format, entry, files: all, modules, network: network === '' ? '' : `${network}/` };
}

/**
 * Does the same for a local path: a folder, a single-file model, or one shard or part of a model.
 * @returns the folder, and the files in it
 * @throws ModelError
 */
export async function selectAt(path: string): Promise<Selection & { folder: string }> {
  const { folder, names, ...weights } = await weightFilesAt(path);
  return { folder, ...(await select(folderListing(folder, names), weights)) };
}

/**
 * Selects the settings, tokenizer and modules next to the weights.
 * @param modules folders of modules by the model's own list, whatever their names
 */
export function selectCompanions(names: readonly string[], modules: readonly string[] = []): string[] {
  return names.filter((name) => {
    if (COMPANIONS.has(name)) return true;
    const at = name.lastIndexOf('/');
    const file = modules.includes(name.slice(0, at)) ? name.slice(at + 1) : MODULE_FILE.exec(name)?.groups?.name;
    if (file === undefined || !(COMPANIONS.has(file) || MODULE_WEIGHTS.has(file))) return false;
    const twin = name.replace('pytorch_model.bin', 'model.safetensors');
    return twin === name || !names.includes(twin);
  });
}

/** Describes what a selection lacks before it can be run; undefined if it is complete. */
export function describeGap({ format, files, network }: Selection): string | undefined {
  if (format === 'gguf') return undefined;
  if (!files.includes(`${network}config.json`)) return `${network}config.json is missing`;
  const tokenizers = ['tokenizer.json', 'vocab.txt', 'tokenizer.model', 'vocab.json'];
  return tokenizers.some((name) => files.includes(`${network}${name}`)) ? undefined : 'its tokenizer is missing';
}
