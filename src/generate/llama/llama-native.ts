import { ModelError } from '../../system/index.ts';

/**
 * The part of node-llama-cpp's native binding that this package uses directly. The library's public `evaluate` cannot return the
 * normaliser and the top candidates of one token without sorting the complete vocabulary, creates a sampler for each token, and
 * cannot copy a sequence. Together that costs a third of the speed. The version is pinned in package.json, and {@link nativeParts}
 * refuses one that lacks a part.
 */
export interface NativeContext {
  initBatch(tokens: number): void;
  /** Returns the batch index of each wanted row of logits. */
  addToBatch(sequence: number, start: number, tokens: Uint32Array, wantedLogits: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  sampleToken(logitIndex: number, sampler: NativeSampler): Promise<number>;
  sampleToken(
    logitIndex: number,
    sampler: NativeSampler,
    probabilities: false,
    confidence: false,
    logits: false | [tokens: number[], max: boolean, min: boolean, selected: boolean, top: number],
    totalWeight: boolean,
  ): Promise<
    [
      token: number,
      probabilities: undefined,
      confidence: undefined,
      logits: number[] | undefined,
      total: number | undefined,
    ]
  >;
  disposeSequence(sequence: number): void;
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
  copySequenceStateFromOtherSequence(target: number, source: number): Promise<number>;
  setThreads(threads: number): void;
}

export interface NativeSampler {
  /** A setting that is omitted is not applied. A `topK` of 0 would sort the complete vocabulary. */
  applyConfig(config: { temperature: number; topK?: number; seed?: number }): void;
  dispose(): void;
}

/**
 * Returns the log-probability of a token at temperature 1. llama.cpp gives the logits of the token and of the most likely one, and the sum
 * of exp(logit - largest logit).
 * @param greedy a sampler of temperature 0
 */
export async function nativeLogProbability(
  native: NativeContext,
  row: number,
  greedy: NativeSampler,
  token: number,
): Promise<number> {
  const filter: [number[], boolean, boolean, boolean, number] = [[token], false, false, true, 0];
  const [likeliest, , , pairs = [], total] = await native.sampleToken(row, greedy, false, false, filter, true);
  const logits = new Map<number, number>();
  for (let i = 0; i + 1 < pairs.length; i += 2) logits.set(pairs[i]!, pairs[i + 1]!);
  return logits.get(token)! - logits.get(likeliest)! - Math.log(total!);
}

export interface NativeParts {
  context: NativeContext;
  newSampler(): NativeSampler;
}

const CONTEXT_METHODS = [
  'initBatch',
  'addToBatch',
  'decodeBatch',
  'sampleToken',
  'disposeSequence',
  'removeTokenCellsFromSequence',
  'copySequenceStateFromOtherSequence',
  'setThreads',
] as const;

/** Takes the native parts out of node-llama-cpp's objects. @throws ModelError if this version lacks one */
export function nativeParts(context: object): NativeParts {
  const native = property(context, '_ctx');
  const model = property(context, '_model');
  const sampler = property(property(property(context, '_llama'), '_bindings'), 'AddonSampler');
  const complete = CONTEXT_METHODS.every((method) => typeof property(native, method) === 'function');
  if (!complete || typeof sampler !== 'function') {
    throw new ModelError('this version of node-llama-cpp is not the one that llm-qe was built for', {
      fix: 'Install the version that llm-qe names in its package.json.',
    });
  }
  const Sampler = sampler as new (model: unknown) => NativeSampler;
  return { context: native as NativeContext, newSampler: () => new Sampler(property(model, '_model')) };
}

function property(owner: unknown, name: string): unknown {
  return typeof owner === 'object' && owner !== null ? (owner as Record<string, unknown>)[name] : undefined;
}
