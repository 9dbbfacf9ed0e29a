import type { AnswerRecord, CandidateRecord, RewardRecord, TrainingQuery } from '../../data/index.ts';
import type { IdSet } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import { readAnswers } from '../answers.ts';
import { IdStream, type QueryGroup, readCandidateGroups } from '../query-groups.ts';
import { goldDocuments } from '../reward-candidates.ts';

/** The files and queries from which pairs are built. */
export interface PairSources {
  /** Returns the training queries; called twice because the files are read twice. */
  queries: () => Iterable<TrainingQuery> | AsyncIterable<TrainingQuery>;
  /** Texts of gold documents by id, for queries that do not include them. */
  goldTexts?: ReadonlyMap<string, string> | undefined;
  candidates: string;
  rewards: string;
  /** Used for the audit only. */
  answers?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Finds the data that belongs to a query's rewards in the other files, by id. */
export class JoinedQueries {
  readonly #sources: PairSources;
  readonly #queries: IdStream<TrainingQuery>;
  readonly #candidates: IdStream<QueryGroup<CandidateRecord>>;
  readonly #answers: IdStream<AnswerRecord>;

  /** @param rewarded queries that have rewards; records of other queries are not kept */
  constructor(sources: PairSources, rewarded: IdSet) {
    const { queries, candidates, answers, signal } = sources;
    this.#sources = sources;
    const isRewarded = (id: string) => rewarded.has(id);
    const queryIdOf = ({ queryId }: { queryId: string }) => queryId;
    this.#queries = new IdStream(queries(), ({ id }) => id, isRewarded);
    this.#candidates = new IdStream(readCandidateGroups(candidates, signal), queryIdOf, isRewarded);
    this.#answers = new IdStream(answers === undefined ? [] : readAnswers(answers, signal), queryIdOf, isRewarded);
  }

  async take({ queryId, records, line }: QueryGroup<RewardRecord>) {
    const place = { file: this.#sources.rewards, line, id: queryId };
    const query = await this.#queries.take(queryId);
    if (query === undefined) {
      throw new DataError('these rewards belong to a query that is not among the training queries', {
        ...place,
        fix: 'Pass the data set and split for which the rewards were made.',
      });
    }
    const sampled = await this.#candidates.take(queryId);
    const answer = await this.#answers.take(queryId);
    return {
      query,
      gold: goldDocuments(query, this.#sources.goldTexts),
      answer: answer?.text.trim() === '' ? undefined : answer,
      candidates: joinRewards(sampled?.records ?? [], records, place),
    };
  }

  async drain(): Promise<void> {
    await this.#candidates.drain();
    await this.#answers.drain();
  }

  async close(): Promise<void> {
    await this.#queries.close();
    await this.#candidates.close();
    await this.#answers.close();
  }
}

/** @throws DataError if candidates and rewards are not from the same run */
function joinRewards(
  candidates: readonly CandidateRecord[],
  rewards: readonly RewardRecord[],
  place: { file: string; line: number; id: string },
): { record: CandidateRecord; earned: RewardRecord }[] {
  const earned = new Map(rewards.map((record) => [record.candidateId, record]));
  const filled = candidates.filter(({ text }) => text.trim() !== '');
  const joined = filled.map((record) => ({ record, earned: earned.get(record.candidateId) }));
  const lacking = joined.find((one) => one.earned === undefined);
  if (lacking === undefined && joined.length === rewards.length) {
    return joined.map((one) => ({ record: one.record, earned: one.earned! }));
  }
  const what =
    lacking === undefined
      ? 'there are rewards for candidates that do not exist'
      : `candidate ${lacking.record.candidateId} has no reward`;
  throw new DataError(what, { ...place, fix: 'Run `llm-qe reward` again for these candidates.' });
}
