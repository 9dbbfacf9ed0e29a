import type { ModelFormat } from '../formats/model-files.ts';

/** The purpose of a model. */
export type ModelKind = 'generator' | 'encoder';

export type { ModelFormat };

/** A complete model on the disk, ready to be opened. */
export interface ResolvedModel {
  /** The name that was requested. */
  name: string;
  /** The folder that holds it, or its .gguf file. */
  path: string;
  format: ModelFormat;
  /** SHA-256 over the files that decide results (weights, tokenizer, settings): equal bytes have equal fingerprints. */
  fingerprint: string;
  /** Where its bytes came from, for reports. */
  source: string;
}

/** A file of a model, and what is known about its bytes in advance. */
export interface PinnedFile {
  /** The path inside the model's folder, with forward slashes. */
  path: string;
  bytes?: number | undefined;
  sha256?: string | undefined;
}

/** A file of a model on the disk. */
export interface FileRecord {
  path: string;
  bytes: number;
  sha256: string;
}
