import type { PairRecord, PairSides } from '../../data/index.ts';
import type { ChatTemplate, TextTokenizer } from '../../models/index.ts';
import { DataError, type Progress, SILENT, throwIfAborted } from '../../system/index.ts';

/** Token ids of a preference pair. Both completions continue the prompt and include the tokens that end an answer. */
export interface TokenPair {
  id: string;
  prompt: Int32Array;
  chosen: Int32Array;
  rejected: Int32Array;
}

/** Reasons for skipping a pair once its tokens are known. */
export const TOKEN_FAULTS = ['prompt too long', 'no common prompt', 'empty completion', 'equal when cut'] as const;
export type TokenFault = (typeof TOKEN_FAULTS)[number];

export interface TokenizedPairs {
  pairs: TokenPair[];
  /** Number of skipped pairs, by reason. */
  skipped: Record<TokenFault, number>;
  /** Number of kept pairs with a truncated completion; they do not teach how that answer ends. */
  cut: { chosen: number; rejected: number };
  /** The first few skipped pairs, as id and reason. */
  examples: string[];
}

export interface ChatTokensOptions {
  tokenizer: TextTokenizer;
  template: ChatTemplate;
  /** Extra variables for the template. */
  variables?: Readonly<Record<string, unknown>> | undefined;
  /** Maximum number of tokens of prompt and completion together. */
  maxLength: number;
  /**
   * With `chosen`, the rejected side is ignored and has no tokens: SFT learns from the chosen side only. Default
   * `both`.
   */
  sides?: PairSides | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

type Texts = Pick<PairRecord, 'id' | 'prompt' | 'chosen' | 'rejected'>;

/** Number of pairs rendered and tokenised at once. */
const GROUP = 256;
const EXAMPLES = 5;
const WHOLE = 2 ** 31 - 1;

/**
 * Tokenises preference pairs as TRL's DPOTrainer does (release 1.16). The prompt is rendered with the generation
 * prompt; prompt and answer are rendered as one chat. The prompt ends where its ids first differ from those of either
 * chat. The rest, including what the template writes after the answer, is the completion. BOS comes first if the model
 * uses one, as in generation.
 *
 * Completions are truncated at the end to fit `maxLength`. Prompts are never truncated: a pair whose prompt leaves no
 * room for an answer is skipped and counted.
 * @throws ModelError if the template refuses the messages; DataError if no pair is left
 */
export async function tokenizePairs(pairs: readonly Texts[], options: ChatTokensOptions): Promise<TokenizedPairs> {
  const { signal, progress = SILENT } = options;
  const result: TokenizedPairs = { pairs: [], skipped: noFaults(), cut: { chosen: 0, rejected: 0 }, examples: [] };
  if (pairs.length === 0) return result;
  const bar = progress.task('tokenising pairs', pairs.length, 'pairs');
  for (let start = 0; start < pairs.length; start += GROUP) {
    throwIfAborted(signal);
    const group = pairs.slice(start, start + GROUP);
    for (const [index, ids] of (await idsOf(group, options)).entries()) {
      keep(result, group[index]!.id, ids, options.maxLength);
    }
    bar.advance(group.length);
  }
  bar.done();
  if (result.pairs.length > 0) return result;
  throw new DataError(`none of the ${pairs.length} pairs can be trained on (${describeSkipped(result.skipped)})`, {
    fix: 'Raise maxLength, or build the pairs again.',
  });
}

/** `prompt too long: 3, equal when cut: 1`; empty if none was skipped. */
export function describeSkipped(skipped: Readonly<Record<string, number>>): string {
  const counted = Object.entries(skipped).filter(([, count]) => count > 0);
  return counted.map(([reason, count]) => `${reason}: ${count}`).join(', ');
}

function noFaults(): TokenizedPairs['skipped'] {
  return { 'prompt too long': 0, 'no common prompt': 0, 'empty completion': 0, 'equal when cut': 0 };
}

/** Ids of each pair's prompt and of its complete chats: chosen, and rejected unless ignored // [pairs][2 or 3] */
async function idsOf(
  pairs: readonly Texts[],
  { tokenizer, template, variables = {}, sides }: ChatTokensOptions,
): Promise<Int32Array[][]> {
  const texts = pairs.flatMap(({ prompt, chosen, rejected }) => [
    beginText(template, template.render(prompt, { addGenerationPrompt: true, variables })),
    ...(sides === 'chosen' ? [chosen] : [chosen, rejected]).map((side) =>
      beginText(template, template.render([...prompt, ...side], { addGenerationPrompt: false, variables })),
    ),
  ]);
  const ids = await tokenizer.encodeBatch(texts, { maxLength: WHOLE, addSpecialTokens: false });
  const each = texts.length / pairs.length;
  return pairs.map((_, index) => ids.slice(each * index, each * (index + 1)));
}

/** Adds BOS once if the model uses one ({@link ChatTemplate.renderPrompt} does so for generation). */
function beginText({ tokens: { bos, addBos } }: ChatTemplate, text: string): string {
  return addBos && bos !== undefined && !text.startsWith(bos) ? bos + text : text;
}

/** Adds a pair to the result, or counts why it was skipped. */
function keep(result: TokenizedPairs, id: string, ids: readonly Int32Array[], maxLength: number): void {
  const [alone, chosen, rejected] = ids as [Int32Array, Int32Array, Int32Array?];
  const wholes = rejected === undefined ? [chosen] : [chosen, rejected];
  const end = Math.min(...wholes.map((whole) => commonStart(alone, whole)));
  const pair = {
    id,
    prompt: chosen.slice(0, end),
    chosen: chosen.slice(end, maxLength),
    rejected: rejected?.slice(end, maxLength) ?? new Int32Array(0),
  };
  const fault = faultOf(pair, wholes, maxLength);
  if (fault !== undefined) {
    result.skipped[fault]++;
    if (result.examples.length < EXAMPLES) result.examples.push(`${id}: ${fault}`);
    return;
  }
  if (chosen.length > maxLength) result.cut.chosen++;
  if (rejected !== undefined && rejected.length > maxLength) result.cut.rejected++;
  result.pairs.push(pair);
}

function faultOf(
  { prompt, chosen, rejected }: TokenPair,
  wholes: readonly Int32Array[],
  maxLength: number,
): TokenFault | undefined {
  if (prompt.length === 0) return 'no common prompt';
  if (prompt.length >= maxLength) return 'prompt too long';
  if (wholes.some(({ length }) => length === prompt.length)) return 'empty completion';
  const isEqual = chosen.length === rejected.length && commonStart(chosen, rejected) === chosen.length;
  return isEqual ? 'equal when cut' : undefined;
}

/** The number of leading ids that two lists share. */
function commonStart(a: Int32Array, b: Int32Array): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) if (a[index] !== b[index]) return index;
  return length;
}
