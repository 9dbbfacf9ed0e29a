import { BOUNDS } from './network-bounds.ts';
import type { TensorFile } from './tensor-file.ts';

/** The bounds of a number that a file states about its network. */
interface Bounds {
  min: number;
  max: number;
  /** Default: an integer. */
  isReal?: boolean;
  /** Whether 0 ("none") is allowed, in single layers and in recurrent networks: both can lack attention. */
  mayBeNone?: boolean;
}

const EPSILON: Bounds = { min: Number.MIN_VALUE, max: 1, isReal: true };
const POSITIVE: Bounds = { min: 1e-6, max: BOUNDS.rotary, isReal: true };

/**
 * Every number from which llama.cpp sizes a network, by its key without the architecture. llama.cpp trusts them, and
 * absurd ones crash the whole process.
 */
const STATED: Readonly<Record<string, Bounds>> = {
  block_count: { min: 1, max: BOUNDS.layers },
  embedding_length: { min: 1, max: BOUNDS.width },
  context_length: { min: 1, max: BOUNDS.tokens },
  vocab_size: { min: 1, max: BOUNDS.vocabulary },
  feed_forward_length: { min: 2, max: BOUNDS.innerWidth, mayBeNone: true },
  expert_feed_forward_length: { min: 0, max: BOUNDS.innerWidth },
  expert_count: { min: 0, max: BOUNDS.experts },
  expert_used_count: { min: 0, max: BOUNDS.experts },
  'attention.head_count': { min: 1, max: BOUNDS.heads, mayBeNone: true },
  'attention.head_count_kv': { min: 1, max: BOUNDS.heads, mayBeNone: true },
  'attention.key_length': { min: 1, max: BOUNDS.headWidth },
  'attention.value_length': { min: 1, max: BOUNDS.headWidth },
  'attention.sliding_window': { min: 0, max: BOUNDS.tokens },
  'attention.layer_norm_epsilon': EPSILON,
  'attention.layer_norm_rms_epsilon': EPSILON,
  'rope.dimension_count': { min: 0, max: BOUNDS.headWidth },
  'rope.freq_base': POSITIVE,
  'rope.scaling.factor': POSITIVE,
  'rope.scaling.original_context_length': { min: 1, max: BOUNDS.tokens },
};

/**
 * Checks the numbers that a GGUF file states about its network, alone and against each other.
 * @throws ModelError
 */
export function checkStatedSizes(file: TensorFile, metadata: ReadonlyMap<string, unknown>): void {
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string') return;
  const isRecurrent = [...metadata.keys()].some((key) => /\.(ssm|wkv|shortconv)\./.test(key));
  for (const [name, bounds] of Object.entries(STATED)) {
    const key = `${architecture}.${name}`;
    const stated = metadata.get(key);
    if (stated === undefined) continue;
    const min = bounds.mayBeNone && (isRecurrent || Array.isArray(stated)) ? 0 : bounds.min;
    // Newer models state some sizes per layer.
    for (const value of Array.isArray(stated) ? stated : [stated]) checkNumber(file, key, value, { ...bounds, min });
  }
  checkHeads(file, architecture, metadata);
}

function checkNumber(file: TensorFile, key: string, value: unknown, { min, max, isReal = false }: Bounds): void {
  const isKind = isReal ? Number.isFinite(value) : Number.isInteger(value);
  if (isKind && Number(value) >= min && Number(value) <= max) return;
  const range = min === Number.MIN_VALUE ? `above 0 and up to ${max}` : `from ${min} to ${max}`;
  file.fail(`states ${String(value).slice(0, 40)}, not a ${isReal ? '' : 'whole '}number ${range}`, key);
}

/** Each key-value head serves a group of query heads of equal size, and a head is at least one number wide. */
function checkHeads(file: TensorFile, architecture: string, metadata: ReadonlyMap<string, unknown>): void {
  const read = (name: string) => {
    const value = metadata.get(`${architecture}.${name}`);
    return typeof value === 'number' && value > 0 ? value : undefined;
  };
  const [width, heads, keyHeads] = ['embedding_length', 'attention.head_count', 'attention.head_count_kv'].map(read);
  if (heads === undefined) return;
  const key = `${architecture}.attention.head_count`;
  if (width !== undefined && read('attention.key_length') === undefined && heads > width) {
    file.fail(`states ${heads} heads, more than the ${width} numbers of a hidden state`, key);
  }
  if (keyHeads !== undefined && (keyHeads > heads || heads % keyHeads !== 0)) {
    file.fail(`states ${keyHeads} key heads, which do not divide the ${heads} query heads`, `${key}_kv`);
  }
}
