import { ModelError } from '../../system/index.ts';
import type { Checkpoint, TensorInfo } from './checkpoint-contract.ts';
import { unknownTensor } from './checkpoint-index.ts';
import { openGguf } from './gguf.ts';

const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s;
/** More parts than any published model has. */
const MAX_PARTS = 1000;

/**
 * Returns the names of all parts of a GGUF model, given the name of one: `x-00001-of-00002.gguf` (llama.cpp's
 * `llama_split_path`).
 * @returns undefined if the name is not the name of a part
 */
export function partsOfGguf(name: string): string[] | undefined {
  const [, stem, number, count] = PART.exec(name) ?? [];
  const parts = Number(count);
  if (stem === undefined || parts < 1 || parts > MAX_PARTS || Number(number) < 1 || Number(number) > parts)
    return undefined;
  return Array.from({ length: parts }, (_, index) => `${stem}-${String(index + 1).padStart(5, '0')}-of-${count}.gguf`);
}

/**
 * What the metadata of a part states (`split.no` from 0, `split.count`, `split.tensors.count`). An unsplit file is part
 * 0 of 1.
 */
export interface GgufSplit {
  part: number;
  parts: number;
  /** The number of tensors in all parts; undefined in an unsplit file. */
  tensors: number | undefined;
}

/** Reads the split of a part from its metadata. @throws ModelError if a number is impossible */
export function ggufSplit(checkpoint: Checkpoint): GgufSplit {
  const metadata = checkpoint.metadata();
  const number = (key: string) => {
    const value = metadata[key];
    if (value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0)) return value as number | undefined;
    throw new ModelError(`states ${String(value).slice(0, 40)}, not a whole number`, {
      file: checkpoint.path,
      id: key,
      fix: FETCH,
    });
  };
  const parts = Math.max(1, number('split.count') ?? 1);
  return { part: number('split.no') ?? 0, parts, tensors: parts === 1 ? undefined : number('split.tensors.count') };
}

const FETCH =
  'Download all parts again, from the same version. For a model of the store: `llm-qe models pull NAME --verify`.';

/**
 * Opens a GGUF model of several parts as one checkpoint. Its metadata and its path are those of the first part:
 * llama.cpp expects that path.
 * @param files the parts in order
 * @throws ModelError if a part is missing or broken, or does not belong to the others
 */
export async function openGgufParts(files: readonly string[]): Promise<Checkpoint> {
  const open: Checkpoint[] = [];
  try {
    for (const file of files) open.push(await openGguf(file));
    for (const [index, part] of open.entries()) checkPart(part, index, files.length);
    return new GgufParts(open);
  } catch (error) {
    await Promise.all(open.map((part) => part.close()));
    throw error;
  }
}

function checkPart(checkpoint: Checkpoint, index: number, count: number): void {
  const { part, parts } = ggufSplit(checkpoint);
  if (part === index && parts === count) return;
  const reason = `its metadata says part ${part + 1} of ${parts}, but its name says part ${index + 1} of ${count}`;
  throw new ModelError(reason, { file: checkpoint.path, id: 'split.count', fix: FETCH });
}

class GgufParts implements Checkpoint {
  readonly #parts: readonly Checkpoint[];
  readonly #holders = new Map<string, Checkpoint>();
  readonly #tensors: TensorInfo[] = [];

  /** @throws ModelError if the parts do not hold the number of tensors that they state */
  constructor(parts: readonly Checkpoint[]) {
    this.#parts = parts;
    for (const part of parts) {
      for (const info of part.tensors()) {
        if (this.#holders.has(info.name)) {
          throw new ModelError('two parts hold this tensor', { file: part.path, id: info.name, fix: FETCH });
        }
        this.#holders.set(info.name, part);
        this.#tensors.push(info);
      }
    }
    for (const part of parts) {
      const { tensors } = ggufSplit(part);
      if (tensors === undefined || tensors === this.#tensors.length) continue;
      const reason = `the metadata counts ${tensors} tensors in all parts, but they hold ${this.#tensors.length}`;
      throw new ModelError(reason, { file: part.path, id: 'split.tensors.count', fix: FETCH });
    }
  }

  get path(): string {
    return this.#parts[0]!.path;
  }

  tensors(): TensorInfo[] {
    return [...this.#tensors];
  }

  async read(name: string): Promise<Float32Array> {
    const holder = this.#holders.get(name);
    if (holder === undefined) throw unknownTensor(this.path, name);
    return await holder.read(name);
  }

  metadata(): Record<string, unknown> {
    return this.#parts[0]!.metadata();
  }

  async close(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.close()));
  }
}
