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

/** What is exported, and how far it is told. */
export interface ExportOptions {
  /** A Transformers folder or file, or a GGUF file of the Llama family. */
  base: string;
  /** Folded into the weights. */
  adapter?: LoraAdapter | undefined;
  /** Where the adapter was read, for error messages. */
  adapterFile?: string | undefined;
  /** Weights that were trained, in place of the base's of the same Transformers names. */
  weights?: ReadonlyMap<string, Float32Array> | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

/** An open base model, with the adapter folded in. */
export interface ExportSource {
  /** Under Transformers' names. */
  checkpoint: Checkpoint;
  /** The file itself, where the base is GGUF. */
  gguf: Checkpoint | undefined;
  /** The folder of config.json and the tokenizer, where the base is not GGUF. */
  folder: string;
}

/** Opens what is to be exported, works with it and closes it. @throws ModelError */
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

/** Shows a checkpoint with other values for some of its tensors. */
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
 * Refuses an output that is the base itself.
 * @throws UsageError
 */
export async function checkOutput(out: string, { checkpoint }: ExportSource): Promise<void> {
  await refuseOverwriting({ inputs: { 'the model': checkpoint.path }, outputs: { 'the export': out } });
}

/** The settings of the base, from its config.json or the GGUF's metadata. @throws ModelError */
export async function sourceConfig({ gguf, folder }: ExportSource): Promise<LanguageConfig> {
  if (gguf === undefined) return readLanguageConfig(folder);
  return parseLanguageConfig(gguf.path, await hfConfigOfGguf(gguf));
}

/** The base's config.json as it stands, or what the GGUF's metadata make of it. @throws ModelError */
export async function sourceSettings({ gguf, folder }: ExportSource): Promise<unknown> {
  if (gguf !== undefined) return hfConfigOfGguf(gguf);
  return readModelJson(join(folder, 'config.json'));
}

/** Tells of weights that are written. @param bytes in all */
export function writingTask({ progress = SILENT }: ExportOptions, bytes: number) {
  const task = progress.task('writing weights', bytes, 'bytes');
  return { onTensor: (written: number) => task.advance(written), done: () => task.done() };
}
