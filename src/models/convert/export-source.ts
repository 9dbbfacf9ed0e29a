import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Progress, refuseOverwriting, SILENT } from '../../system/index.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import type { Checkpoint } from '../formats/checkpoint-contract.ts';
import { readModelJson } from '../formats/model-text-file.ts';
import type { LoraAdapter } from './adapter.ts';
import { mergedCheckpoint } from './adapter-merge.ts';
import { hfCheckpointOfGguf, hfConfigOfGguf } from './gguf-as-hf.ts';
import { type LanguageConfig, parseLanguageConfig, readLanguageConfig } from './language-config.ts';

/** What to export, and how to report progress. */
export interface ExportOptions {
  /** A Transformers folder or file, or a GGUF file of the Llama family. */
  base: string;
  /** An adapter to merge into the weights. */
  adapter?: LoraAdapter | undefined;
  /** The path of the adapter, for error messages. */
  adapterFile?: string | undefined;
  /** Base and adapter by their hashes, for the note of a folder that tells what it was made from. */
  madeFrom?: { base: string; adapter?: string | undefined } | undefined;
  /** Trained weights that replace those of the base, by Transformers' names. */
  weights?: ReadonlyMap<string, Float32Array> | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** An open base model with the adapter merged in. */
export interface ExportSource {
  /** The weights, by Transformers' names. */
  checkpoint: Checkpoint;
  /** The file itself, if the base is GGUF. */
  gguf: Checkpoint | undefined;
  /** The folder of config.json and the tokenizer, if the base is not GGUF. */
  folder: string;
}

/** Opens the source of an export, passes it to `work` and closes it. @throws ModelError */
export async function withSource<T>(options: ExportOptions, work: (source: ExportSource) => Promise<T>): Promise<T> {
  const opened = await openCheckpoint(options.base);
  try {
    const gguf = opened.path.endsWith('.gguf') ? opened : undefined;
    const plain = gguf === undefined ? opened : hfCheckpointOfGguf(gguf);
    const { adapter, adapterFile, weights } = options;
    const trained = weights === undefined ? plain : withWeights(plain, weights);
    const checkpoint = adapter === undefined ? trained : mergedCheckpoint(trained, adapter, adapterFile);
    const folder = (await stat(options.base)).isDirectory() ? options.base : dirname(options.base);
    return await work({ checkpoint, gguf, folder });
  } finally {
    await opened.close();
  }
}

/** Wraps a checkpoint, with other values for some of its tensors. */
function withWeights(base: Checkpoint, weights: ReadonlyMap<string, Float32Array>): Checkpoint {
  return {
    path: base.path,
    tensors: () => base.tensors(),
    read: async (name) => weights.get(name) ?? base.read(name),
    metadata: () => base.metadata(),
    close: () => base.close(),
  };
}

/**
 * Refuses to overwrite the base with the output.
 * @throws UsageError
 */
export async function checkOutput(out: string, { checkpoint }: ExportSource): Promise<void> {
  await refuseOverwriting({ inputs: { 'the model': checkpoint.path }, outputs: { 'the export': out } });
}

/** Reads the settings of the base from config.json or GGUF metadata. @throws ModelError */
export async function sourceConfig({ gguf, folder }: ExportSource): Promise<LanguageConfig> {
  if (gguf === undefined) return readLanguageConfig(folder);
  return parseLanguageConfig(gguf.path, await hfConfigOfGguf(gguf));
}

/** Reads the base's config.json unchanged, or derives it from GGUF metadata. @throws ModelError */
export async function sourceSettings({ gguf, folder }: ExportSource): Promise<unknown> {
  if (gguf !== undefined) return hfConfigOfGguf(gguf);
  return readModelJson(join(folder, 'config.json'));
}

/** Starts reporting progress on written weights. @param bytes the total */
export function writingTask({ progress = SILENT }: ExportOptions, bytes: number) {
  const task = progress.task('writing weights', bytes, 'bytes');
  return { onTensor: (written: number) => task.advance(written), done: () => task.done() };
}
