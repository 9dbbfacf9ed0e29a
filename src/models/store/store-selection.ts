import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError, systemFault } from '../../system/index.ts';
import type { ModelFormat } from './store-types.ts';

/** Files beside the weights that decide what a model answers. */
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
]);

/** A module of sentence-transformers beside the encoder itself, such as `1_Pooling` or `2_Dense`. */
const MODULE_FILE = /^\d+_[A-Za-z]+\/(config\.json|model\.safetensors|pytorch_model\.bin)$/;

const UNREADABLE =
  'Name a model that is published as model.safetensors, pytorch_model.bin (each also in shards) or one .gguf file.';

/** The files of a model that are needed, out of all that a folder or a repository holds. */
export interface Selection {
  format: ModelFormat;
  /** Forward slashes, in alphabetical order. */
  files: string[];
}

/**
 * Picks what is needed to run a model: the weights in the first format found (safetensors, PyTorch, GGUF: the order of
 * `openCheckpoint`), and the settings and tokenizer beside them. Of a GGUF model only the file itself.
 * @param place what the names belong to, for errors
 * @param wanted the .gguf file to take where there are several
 * @throws ModelError where there are no weights, or several GGUF files and none is named
 */
export function selectFiles(names: readonly string[], place: string, wanted?: string): Selection {
  if (wanted !== undefined) {
    if (names.includes(wanted)) return { format: 'gguf', files: [wanted] };
    throw new ModelError(`${place} holds no ${wanted}`, { fix: `Name one of: ${shortList(names)}.` });
  }
  for (const [format, stem, ending] of [
    ['safetensors', 'model', 'safetensors'],
    ['torch', 'pytorch_model', 'bin'],
  ] as const) {
    const weights = selectWeights(names, stem, ending);
    if (weights.length > 0) return { format, files: [...weights, ...selectCompanions(names)].sort() };
  }
  const ggufs = names.filter((name) => name.endsWith('.gguf'));
  if (ggufs.length === 1) return { format: 'gguf', files: ggufs };
  if (ggufs.length === 0) throw new ModelError(`${place} holds no weights that can be read`, { fix: UNREADABLE });
  throw new ModelError(`${place} holds ${ggufs.length} GGUF files, and which one is meant is not clear`, {
    fix: `Name one of them at the end of the path: ${shortList(ggufs)}.`,
  });
}

/** An index counts before a single file, as it does when the checkpoint is opened. */
function selectWeights(names: readonly string[], stem: string, ending: string): string[] {
  const index = `${stem}.${ending}.index.json`;
  if (names.includes(index)) {
    const shard = new RegExp(`^${stem}-\\d+-of-\\d+\\.${ending}$`);
    return [index, ...names.filter((name) => shard.test(name))];
  }
  return names.filter((name) => name === `${stem}.${ending}`);
}

function selectCompanions(names: readonly string[]): string[] {
  return names.filter((name) => {
    if (COMPANIONS.has(name)) return true;
    if (!MODULE_FILE.test(name)) return false;
    const twin = name.replace('pytorch_model.bin', 'model.safetensors');
    return twin === name || !names.includes(twin);
  });
}

/** What is missing before a selection can be run, in a few words; undefined where it is whole. */
export function describeGap({ format, files }: Selection): string | undefined {
  if (format === 'gguf') return undefined;
  if (!files.includes('config.json')) return 'config.json is missing';
  const shards = files
    .map((name) => /-(\d+)-of-(\d+)\.(?:safetensors|bin)$/.exec(name))
    .filter((match) => match !== null);
  const count = Number(shards[0]?.[2] ?? 0);
  const isSharded = files.some((name) => name.endsWith('.index.json'));
  if (isSharded && (shards.length === 0 || shards.length < count)) {
    return `${Math.max(1, count) - shards.length} of its shards are missing`;
  }
  const tokenizers = ['tokenizer.json', 'vocab.txt', 'tokenizer.model', 'vocab.json'];
  return tokenizers.some((name) => files.includes(name)) ? undefined : 'its tokenizer is missing';
}

/** All files of a folder, down to one folder inside it, with forward slashes. @throws DataError, ResourceError */
export async function listFolder(folder: string): Promise<string[]> {
  try {
    const names: string[] = [];
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) names.push(entry.name);
      else for (const inner of await readdir(join(folder, entry.name))) names.push(`${entry.name}/${inner}`);
    }
    return names.sort();
  } catch (error) {
    throw systemFault(error, folder);
  }
}

function shortList(names: readonly string[]): string {
  return names.length <= 12 ? names.join(', ') : `${names.slice(0, 12).join(', ')} and ${names.length - 12} more`;
}
