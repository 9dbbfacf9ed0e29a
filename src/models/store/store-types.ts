import type { ModelFormat } from '../formats/model-files.ts';

/** What a model is for. */
export type ModelKind = 'generator' | 'encoder';

export type { ModelFormat };

/** A model that stands on the disk, whole and ready to be opened. */
export interface ResolvedModel {
  /** As it was asked for. */
  name: string;
  /** The folder that holds it, or its .gguf file. */
  path: string;
  format: ModelFormat;
  /** SHA-256 over the files that decide results (weights, tokenizer, settings): equal bytes, equal fingerprint. */
  fingerprint: string;
  /** Where its bytes came from, for reports. */
  source: string;
}

/** A file of a model and what is known of its bytes beforehand. */
export interface PinnedFile {
  /** Inside the model's folder, with forward slashes. */
  path: string;
  bytes?: number | undefined;
  sha256?: string | undefined;
}

/** A file of a model as it stands on the disk. */
export interface FileRecord {
  path: string;
  bytes: number;
  sha256: string;
}
