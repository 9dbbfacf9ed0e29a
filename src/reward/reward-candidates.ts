import { resolve } from 'node:path';
import { z } from 'zod';
import { type AnswerRecord, type RewardRecord, rewardSchema, type TrainingQuery } from '../data/index.ts';
import type { Encoder, TextRole } from '../embed/index.ts';
import {
  IdSet,
  idSchema,
  Journal,
  readJsonl,
  type StageManifest,
  writeJsonl,
  writeStageManifest,
} from '../files/index.ts';
import {
  AbortedError,
  contentKey,
  DataError,
  isAbort,
  type Progress,
  type ProgressTask,
  packageVersion,
  SILENT,
  throwIfAborted,
  UsageError,
} from '../system/index.ts';
import { readAnswers } from './answers.ts';
import { embedSets, type TextSet } from './embed-sets.ts';
import { IdStream, type QueryGroup, readCandidateGroups } from './query-groups.ts';
import type { RewardSummary } from './reward-summary.ts';
import type { CandidateSet, GoldDocument } from './rewards/candidate-set.ts';
import { perCandidate } from './rewards/candidate-set.ts';
import { checkMixture, type ScoredSet, scoreMixture, type WeightedReward } from './rewards/reward.ts';
import { similarityRanks } from './rewards/target-rewards.ts';
import { readCandidatePlan } from './stage-inputs.ts';

export interface RewardOptions {
  /** The training queries. If they have the order of the candidates, none is kept in memory. */
  queries: Iterable<TrainingQuery> | AsyncIterable<TrainingQuery>;
  /** Texts of gold documents by id, for queries that do not include them. */
  goldTexts?: ReadonlyMap<string, string> | undefined;
  /** `candidates.jsonl` */
  candidates: string;
  /** `answers.jsonl`; required by rewards that read the answer. */
  answers?: string | undefined;
  encoder: Encoder;
  /** Role, and therefore prefix, under which a candidate is embedded, as in evaluation. Default `query`. */
  expansionRole?: TextRole | undefined;
  mixture: readonly WeightedReward[];
  /** `rewards.jsonl`; the journal is `<out>.journal`, and the manifest is in the same folder. */
  out: string;
  /** Number of queries, used for progress only. */
  count?: number | undefined;
  /** Number of queries embedded and searched together. Default 32. */
  batch?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: Progress | undefined;
}

export interface RewardResult {
  file: string;
  summary: RewardSummary;
  /** Number of queries found in the journal. */
  reused: number;
  /** Duration of this run only. */
  seconds: number;
}

/** The rewards of one query, as a line of the journal. */
const journalSchema = z.object({ queryId: idSchema, key: z.string(), records: z.array(rewardSchema) });
type JournalLine = z.output<typeof journalSchema>;

/** Increase it when the meaning of a number in the file changes. */
export const REWARD_FORMAT = 1;

/**
 * Rewards candidates, one batch of queries at a time; memory use does not depend on their number. Each query's rewards
 * are journalled under a key of its texts, the encoder and the rewards. An interrupted run resumes with what is
 * missing. A query whose inputs or settings changed is rewarded again.
 *
 * @throws DataError if a file is damaged or not finished, or an id of one file is missing in another; UsageError if the
 * mixture is invalid, or reads answers and there are none
 */
export async function rewardCandidates(options: RewardOptions): Promise<RewardResult> {
  checkMixture(options.mixture);
  const reading = options.mixture.find(({ reward }) => reward.needsAnswer)?.reward.name;
  if (reading !== undefined && options.answers === undefined) {
    throw new UsageError(`reward ${reading} reads answers, but no answers file is given`, {
      fix: 'Pass the file that `llm-qe answers` wrote, or choose rewards that read no answers.',
    });
  }
  const out = resolve(options.out);
  const done = new Map<string, string>();
  const journal = await Journal.open(`${out}.journal`, journalSchema, {
    keyOf: ({ queryId }) => queryId,
    isWhole: () => true,
    onGroup: ([line]) => done.set(line!.queryId, line!.key),
  });
  try {
    const run = new RewardRun(options, journal, done);
    await run.rewardMissing();
    await writeJsonl(out, currentRecords(journal.file, run.keys, options.signal));
    const summary = run.summary();
    await writeStageManifest(out, manifestOf(options, summary));
    return { file: out, summary, reused: run.reused, seconds: run.seconds };
  } finally {
    await journal.close();
  }
}

/** The journal's records whose key is still valid, each query once. */
async function* currentRecords(
  journal: string,
  keys: ReadonlyMap<string, string>,
  signal: AbortSignal | undefined,
): AsyncGenerator<RewardRecord> {
  const written = new IdSet();
  for await (const { value } of readJsonl(journal, journalSchema, signal)) {
    if (keys.get(value.queryId) === value.key && written.add(value.queryId)) yield* value.records;
  }
}

/** A query that still has to be rewarded. */
interface Wanted {
  key: string;
  set: TextSet;
}

class RewardRun {
  readonly #options: RewardOptions;
  readonly #journal: Journal<JournalLine>;
  /** Keys in the journal, by query. */
  readonly #done: ReadonlyMap<string, string>;
  readonly #settingsKey: string;
  readonly #task: ProgressTask;
  readonly #counts = { candidates: 0, empty: 0, duplicates: 0 };
  readonly #dropped = { 'no answer': 0, 'only empty candidates': 0 };
  /** Number of queries for which candidates were requested, if known. */
  #asked: number | undefined;
  /** Keys of the rewarded queries, by query. */
  readonly keys = new Map<string, string>();
  reused = 0;
  seconds = 0;

  constructor(options: RewardOptions, journal: Journal<JournalLine>, done: ReadonlyMap<string, string>) {
    this.#options = options;
    this.#journal = journal;
    this.#done = done;
    this.#settingsKey = contentKey(settingsOf(options));
    this.#task = (options.progress ?? SILENT).task('rewarding candidates', options.count, 'queries');
  }

  async rewardMissing(): Promise<void> {
    const { signal, batch = 32 } = this.#options;
    const started = performance.now();
    let waiting: Wanted[] = [];
    this.#asked = (await readCandidatePlan(this.#options.candidates)).queries;
    try {
      for await (const set of textSets(this.#options)) {
        throwIfAborted(signal);
        const wanted = this.#consider(set);
        if (wanted !== undefined) waiting.push(wanted);
        if (waiting.length < batch) continue;
        await this.#reward(waiting);
        waiting = [];
      }
      await this.#reward(waiting);
      this.#task.done();
    } catch (error) {
      this.#task.done('stopped');
      throw isAbort(error) ? new AbortedError(`stopped with ${this.keys.size} queries rewarded`) : error;
    }
    this.seconds = (performance.now() - started) / 1000;
  }

  summary(): RewardSummary {
    const { mixture, encoder, expansionRole = 'query' } = this.#options;
    const found = this.keys.size + this.#dropped['no answer'] + this.#dropped['only empty candidates'];
    return {
      rewards: mixture.map(({ reward, weight }) => ({ name: reward.name, weight })),
      similarity: 'cosine',
      encoder: { id: encoder.id, fingerprint: encoder.fingerprint },
      expansionRole,
      queries: this.keys.size,
      ...this.#counts,
      dropped: {
        ...(this.#asked !== undefined && { 'no candidates': Math.max(0, this.#asked - found) }),
        ...this.#dropped,
      },
    };
  }

  /** Counts a query, and returns it if it still has to be rewarded. */
  #consider(set: TextSet): Wanted | undefined {
    const candidates = set.candidates.filter(({ text }) => text.trim() !== '');
    this.#counts.empty += set.candidates.length - candidates.length;
    const reason = this.#dropReason(set, candidates.length);
    if (reason !== undefined) {
      this.#dropped[reason]++;
      this.#task.skip(1);
      return undefined;
    }
    this.#counts.candidates += candidates.length;
    this.#counts.duplicates += candidates.length - new Set(candidates.map(({ text }) => text)).size;
    const wanted = { set: { ...set, candidates }, key: keyOf({ ...set, candidates }, this.#settingsKey) };
    this.keys.set(set.query.id, wanted.key);
    if (this.#done.get(set.query.id) !== wanted.key) return wanted;
    this.reused++;
    this.#task.skip(1);
    return undefined;
  }

  #dropReason({ answer }: TextSet, candidates: number): 'no answer' | 'only empty candidates' | undefined {
    if (candidates === 0) return 'only empty candidates';
    const needsAnswer = this.#options.mixture.some(({ reward }) => reward.needsAnswer);
    return needsAnswer && answer === undefined ? 'no answer' : undefined;
  }

  async #reward(wanted: readonly Wanted[]): Promise<void> {
    if (wanted.length === 0) return;
    const { encoder, expansionRole = 'query', mixture, signal } = this.#options;
    const sets = await embedSets(
      encoder,
      wanted.map(({ set }) => set),
      { expansionRole, signal },
    );
    const scored = await scoreMixture(mixture, sets, signal);
    for (const [row, { key }] of wanted.entries()) {
      const records = toRecords(sets[row]!, scored[row]!);
      await this.#journal.append({ queryId: sets[row]!.query.id, key, records });
      this.#task.advance();
    }
  }
}

/** Joins candidates, queries, gold documents and answers by id, in the order of the candidates. */
async function* textSets(options: RewardOptions): AsyncGenerator<TextSet> {
  const queries = new IdStream(options.queries, ({ id }) => id);
  const answers = new IdStream<AnswerRecord>(
    options.answers === undefined ? [] : readAnswers(options.answers, options.signal),
    ({ queryId }) => queryId,
  );
  try {
    for await (const group of readCandidateGroups(options.candidates, options.signal)) {
      const query = await queries.take(group.queryId);
      if (query === undefined) throw unknownQuery(options.candidates, group);
      const answer = await answers.take(group.queryId);
      if (answer !== undefined && !query.documents.includes(answer.documentId))
        throw foreignAnswer(options.answers, answer);
      yield {
        query,
        gold: goldDocuments(query, options.goldTexts),
        answer: answer?.text.trim() === '' ? undefined : answer,
        candidates: group.records,
      };
    }
    await answers.drain();
  } finally {
    await queries.close();
    await answers.close();
  }
}

/** The gold documents of a query with their texts. @throws DataError if a text is missing */
export function goldDocuments(
  { id: queryId, documents, goldText }: TrainingQuery,
  texts: ReadonlyMap<string, string> = new Map(),
): GoldDocument[] {
  return documents.map((id, at) => {
    const text = at === 0 && goldText !== undefined ? goldText : texts.get(id);
    if (text !== undefined) return { id, text };
    throw new DataError(`the text of gold document ${JSON.stringify(id)} is missing`, {
      id: queryId,
      fix: 'Pass the data set that holds the corpus.',
    });
  });
}

function unknownQuery(file: string, { queryId, line }: QueryGroup<unknown>): DataError {
  return new DataError('these candidates belong to a query that is not among the training queries', {
    file,
    line,
    id: queryId,
    fix: 'Pass the data set and split for which the candidates were made.',
  });
}

function foreignAnswer(file: string | undefined, { queryId, documentId }: AnswerRecord): DataError {
  return new DataError(
    `the answer was made from ${JSON.stringify(documentId)}, which is not a gold document of the query`,
    {
      file,
      id: queryId,
      fix: 'Pass the data set and split for which the answers were made.',
    },
  );
}

function settingsOf({ encoder, expansionRole = 'query', mixture }: RewardOptions): Record<string, unknown> {
  const rewards = mixture.map(({ reward, weight }) => ({ name: reward.name, fingerprint: reward.fingerprint, weight }));
  return { version: REWARD_FORMAT, encoder: encoder.fingerprint, expansionRole, rewards };
}

function manifestOf(options: RewardOptions, result: RewardSummary): StageManifest {
  const settings = settingsOf(options);
  const about = { encoder: options.encoder.id };
  return { stage: 'rewards', version: packageVersion(), key: contentKey(settings), settings, about, result };
}

function keyOf({ query, gold, answer, candidates }: TextSet, settings: string): string {
  return contentKey({
    settings,
    query: query.text,
    gold: gold.map(({ id, text }) => [id, text]),
    answer: answer?.text,
    candidates: candidates.map(({ candidateId, text, temperature }) => [candidateId, text, temperature]),
  });
}

function toRecords(set: CandidateSet, { rewards, total }: ScoredSet): RewardRecord[] {
  const similarity = {
    gold: perCandidate(set.similarities.gold, set),
    answer: set.similarities.answer && perCandidate(set.similarities.answer, set),
  };
  const ranks = { gold: similarityRanks(set, 'gold'), answer: similarityRanks(set, 'answer') };
  return set.candidates.map(({ candidateId }, at) => ({
    queryId: set.query.id,
    candidateId,
    rewards: Object.fromEntries([...rewards].map(([name, values]) => [name, short(values[at]!)])),
    similarity: {
      gold: short(similarity.gold[at]!),
      ...(similarity.answer && { answer: short(similarity.answer[at]!) }),
    },
    ranks: { gold: ranks.gold![at]!, ...(ranks.answer && { answer: ranks.answer[at]! }) },
    total: short(total[at]!),
  }));
}

/** A 32-bit float has seven digits; more would only enlarge the file. */
function short(value: number): number {
  return Number(value.toPrecision(7));
}
