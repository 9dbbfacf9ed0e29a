import { basename, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { contentKey, DataError, LlmQeError, UsageError } from '../../system/index.ts';
import { type CandidateSet, perCandidate } from './candidate-set.ts';
import { hashModule } from './module-hash.ts';
import type { Reward } from './reward.ts';

/** The input of a custom reward function: one query and its candidates, as plain data. */
export interface RewardInput {
  query: { id: string; text: string };
  /** The gold documents, the most relevant first. */
  gold: readonly { id: string; text: string }[];
  /** The answer that an LLM gave while reading a gold document, if there is one. */
  answer: string | undefined;
  candidates: readonly {
    id: string;
    text: string;
    temperature: number;
    /** Cosine to the nearest gold document. */
    similarityGold: number;
    similarityAnswer: number | undefined;
  }[];
}

/** Returns one number per candidate, in the order of the candidates; larger is better. */
export type RewardFunction = (input: RewardInput) => ArrayLike<number> | Promise<ArrayLike<number>>;

export interface FunctionRewardOptions {
  /** Must change when the function changes, so earlier rewards are not reused. Default: the function's source text. */
  fingerprint?: string | undefined;
  /** Skip queries without an answer. Default false. */
  needsAnswer?: boolean | undefined;
}

/** Makes a reward from a function. */
export function functionReward(name: string, score: RewardFunction, options: FunctionRewardOptions = {}): Reward {
  return {
    name,
    fingerprint: fingerprintOf(options.fingerprint ?? String(score)),
    needsAnswer: options.needsAnswer ?? false,
    async score(item) {
      try {
        return Float32Array.from(await score(toInput(item)));
      } catch (error) {
        if (error instanceof LlmQeError) throw error;
        throw new DataError(`reward ${name} failed: ${error instanceof Error ? error.message : String(error)}`, {
          id: item.query.id,
          fix: 'Fix the reward function. Its input is one query with its candidates.',
          cause: error,
        });
      }
    },
  };
}

/** Inspects a custom reward module without running its code. @throws DataError if the file does not exist */
export async function inspectReward(file: string): Promise<{ name: string; fingerprint: string }> {
  const path = resolve(file);
  return { name: basename(path, extname(path)), fingerprint: fingerprintOf(await hashModule(path)) };
}

/** @param source the hash or text of the function's source, or of the module that holds it */
function fingerprintOf(source: string): string {
  return contentKey({ kind: 'own/1', source });
}

/**
 * Loads a reward from a JavaScript module, which runs its code. Its default export, or an export named `score`, is the
 * {@link RewardFunction}. `export const needsAnswer = true` skips queries without an answer. The reward is named after
 * the file, without its extension.
 *
 * @throws DataError if the file does not exist; UsageError if it cannot be loaded or exports no function
 */
export async function loadReward(file: string): Promise<Reward> {
  const path = resolve(file);
  const fingerprint = await hashModule(path);
  const fix = 'Export a function: export default function ({query, gold, answer, candidates}) { return [...]; }';
  let module: { default?: unknown; score?: unknown; needsAnswer?: unknown };
  try {
    // A module is loaded once per URL: without the hash, an edited module would not be loaded again.
    module = (await import(`${pathToFileURL(path).href}?${fingerprint}`)) as typeof module;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`the module cannot be loaded: ${reason}`, { file, fix, cause: error });
  }
  // The default export of a CommonJS module is the object of all its exports.
  const score = typeof module.default === 'function' ? module.default : module.score;
  if (typeof score !== 'function') throw new UsageError('the module exports no reward function', { file, fix });
  return functionReward(basename(path, extname(path)), score as RewardFunction, {
    fingerprint,
    needsAnswer: module.needsAnswer === true,
  });
}

function toInput(item: CandidateSet): RewardInput {
  const gold = perCandidate(item.similarities.gold, item);
  const answer = item.similarities.answer && perCandidate(item.similarities.answer, item);
  return {
    query: { id: item.query.id, text: item.query.text },
    gold: item.gold,
    answer: item.answer?.text,
    candidates: item.candidates.map(({ candidateId, text, temperature }, at) => ({
      id: candidateId,
      text,
      temperature,
      similarityGold: gold[at]!,
      similarityAnswer: answer?.[at],
    })),
  };
}
