import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { findFault, type PairLayout, type PairRecord, toConversations } from '../../data/index.ts';
import { IdSet, RowFile } from '../../files/index.ts';
import type { PromptTemplate } from '../../generate/index.ts';
import {
  AbortedError,
  DataError,
  isAbort,
  type Progress,
  SILENT,
  systemFault,
  throwIfAborted,
  UsageError,
  writeDurably,
} from '../../system/index.ts';
import { readRewardGroups } from '../query-groups.ts';
import { type RewardSummary, readRewardSummary } from '../reward-summary.ts';
import { AuditLog, examineQuery, type RewardedCandidate, type RewardedQuery } from './audit.ts';
import type { RewardAudit } from './audit-types.ts';
import { type ChosenPair, choosePairs } from './choose-pairs.ts';
import { type Draw, drawPairs } from './draw.ts';
import { JoinedQueries, type PairSources } from './joined-queries.ts';
import type { PairSettings } from './pair-settings.ts';
import type { GoldWords } from './quoting.ts';
import { type RewardSurvey, surveyRewards } from './reward-survey.ts';
import { bestSimilarity } from './similarity-filter.ts';

export interface PairOptions extends PairSources {
  /** The prompt that the candidates were sampled with. Training must use the prompt of generation. */
  prompt: PromptTemplate;
  settings: PairSettings;
  layout?: PairLayout | undefined;
  /** File of the training pairs. */
  out: string;
  /** File of the dev pairs. */
  devOut: string;
  /** `audit.json` */
  auditOut: string;
  /** Number of queries, used for progress only. */
  count?: number | undefined;
  progress?: Progress | undefined;
}

export interface PairResult {
  /** `dev` is undefined if no dev pairs were drawn. */
  files: { pairs: string; dev: string | undefined; audit: string };
  /** An earlier file of dev pairs that was removed because none were drawn now: its pairs may be trained on. */
  removed: string | undefined;
  audit: RewardAudit;
}

/**
 * Builds preference pairs from rewards, draws training and dev pairs, and audits both. All files are read one query at
 * a time, twice: first to choose and count pairs, then to write those drawn. The rewards are read once more beforehand,
 * to find the queries that have rewards and the filter's threshold.
 *
 * @throws DataError if a file is not finished, an id of one file is missing in another, or no query gives a pair;
 * UsageError if the prompt reads a document, or the draw is impossible
 */
export async function buildPairs(options: PairOptions): Promise<PairResult> {
  if (options.prompt.needsDocument) {
    throw new UsageError(
      `prompt ${options.prompt.name} reads the gold document, which is not available at search time`,
      {
        fix: 'Use the prompt that the candidates were made with.',
      },
    );
  }
  const { rewards, settings, signal } = options;
  try {
    const rewarding = await readRewardSummary(rewards);
    const survey = await surveyRewards(rewards, settings, signal);
    return await new PairBuild(options, survey, rewarding).run();
  } catch (error) {
    throw isAbort(error) ? new AbortedError('stopped; nothing was written') : error;
  }
}

const BELOW_THRESHOLD = 'similarity below the threshold';
const REPEATED = 'the same pair was built before';

class PairBuild {
  readonly #options: PairOptions;
  readonly #survey: RewardSurvey;
  /** The summary in the manifest of the rewards, if there is one. */
  readonly #rewarding: RewardSummary | undefined;
  readonly #log: AuditLog;
  readonly #dropped: Record<string, number> = {};
  /** Number of pairs of each query that gives some. */
  readonly #available = new Map<string, number>();
  /** Ids of pairs that are exact repetitions. */
  readonly #repeated = new Set<string>();
  #queries = 0;

  constructor(options: PairOptions, survey: RewardSurvey, rewarding: RewardSummary | undefined) {
    this.#options = options;
    this.#survey = survey;
    this.#rewarding = rewarding;
    this.#log = new AuditLog(options.settings.seed);
  }

  async run(): Promise<PairResult> {
    const { settings, rewards, out, devOut, auditOut } = this.#options;
    await this.#choose();
    if (this.#available.size === 0) throw noPairs(rewards, this.#dropped);
    const draw = drawPairs(this.#available, settings);
    const earlierDev = await this.#write(draw);
    const audit = this.#audit(draw);
    await writeDurably(resolve(auditOut), `${JSON.stringify(audit, null, 1)}\n`);
    const dev = draw.dev === 0 ? undefined : resolve(devOut);
    const removed = draw.dev === 0 && earlierDev ? resolve(devOut) : undefined;
    return { files: { pairs: resolve(out), dev, audit: resolve(auditOut) }, removed, audit };
  }

  /** First pass: chooses the pairs of each query. */
  async #choose(): Promise<void> {
    const seen = new IdSet();
    await this.#eachQuery(
      'choosing pairs',
      () => true,
      (rewarded, goldWords) => {
        this.#queries++;
        this.#log.addQuery(rewarded, goldWords, this.#similarity(rewarded));
        const { pairs, reason } = this.#choice(rewarded);
        if (reason !== undefined) return this.#drop(reason);
        const fresh = pairs.filter((pair, at) => {
          const record = this.#record(rewarded, pair, at);
          const isNew = findFault(record) === undefined && seen.add(contentOf(record));
          if (!isNew) this.#repeated.add(record.id);
          return isNew;
        });
        if (fresh.length === 0) return this.#drop(REPEATED);
        this.#available.set(rewarded.query.id, fresh.length);
      },
    );
  }

  /** Second pass: writes the drawn pairs. @returns whether an earlier dev file was removed */
  async #write({ parts, dev }: Draw): Promise<boolean> {
    const { out, devOut, layout } = this.#options;
    const files = { train: await RowFile.create(resolve(out)), dev: await RowFile.create(resolve(devOut)) };
    const toRow = (pair: PairRecord) => JSON.stringify(layout === 'conversations' ? toConversations(pair) : pair);
    try {
      await this.#eachQuery(
        'writing pairs',
        (id) => parts.has(id),
        async (rewarded) => {
          const drawn = parts.get(rewarded.query.id)!;
          const records = this.#choice(rewarded).pairs.map((pair, at) => ({
            pair,
            record: this.#record(rewarded, pair, at),
          }));
          for (const { pair, record } of records
            .filter((one) => !this.#repeated.has(one.record.id))
            .slice(0, drawn.pairs)) {
            await files[drawn.part].write(toRow(record));
            this.#log.addPair(rewarded, pair, drawn.part);
          }
        },
      );
      // The earlier dev file is removed first, so new training pairs never exist next to old dev pairs.
      const removedEarlier = await removeFile(resolve(devOut));
      await files.train.commit();
      await (dev === 0 ? files.dev.discard() : files.dev.commit());
      return removedEarlier;
    } catch (error) {
      await files.train.discard();
      await files.dev.discard();
      throw error;
    }
  }

  #audit(draw: Draw): RewardAudit {
    const rewarding = this.#rewarding;
    const built = [...this.#available.values()].reduce((sum, count) => sum + count, 0);
    const before = Object.fromEntries(Object.entries(rewarding?.dropped ?? {}).filter(([, count]) => count > 0));
    const unrewarded = Object.values(before).reduce((sum, count) => sum + count, 0);
    return this.#log.finish({
      rewarding,
      settings: this.#options.settings,
      threshold: this.#survey.filter.threshold,
      similarity: this.#survey.filter.withAnswer ? 'gold + answer' : 'gold',
      queries: {
        all: this.#queries + unrewarded,
        kept: this.#available.size,
        dropped: { ...before, ...this.#dropped },
      },
      pairs: {
        built,
        repeated: this.#repeated.size,
        train: draw.train,
        dev: draw.dev,
        left: built - draw.train - draw.dev,
      },
    });
  }

  #choice(rewarded: RewardedQuery) {
    if (this.#similarity(rewarded) < this.#survey.filter.threshold) return { pairs: [], reason: BELOW_THRESHOLD };
    return choosePairs(rewarded.candidates, this.#options.settings);
  }

  #similarity({ candidates }: RewardedQuery): number {
    return bestSimilarity(
      candidates.map(({ earned }) => earned),
      this.#survey.filter,
    );
  }

  #drop(reason: string): void {
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + 1;
  }

  #record({ query }: RewardedQuery, { chosen, rejected }: ChosenPair<RewardedCandidate>, at: number): PairRecord {
    return {
      id: `${query.id}/${at}`,
      queryId: query.id,
      prompt: this.#options.prompt.messages({ id: query.id, query: query.text }),
      chosen: [{ role: 'assistant', content: chosen.text }],
      rejected: [{ role: 'assistant', content: rejected.text }],
      chosenId: chosen.id,
      rejectedId: rejected.id,
      chosenReward: chosen.reward,
      rejectedReward: rejected.reward,
    };
  }

  async #eachQuery(
    label: string,
    wanted: (queryId: string) => boolean,
    visit: (rewarded: RewardedQuery, goldWords: GoldWords) => void | Promise<void>,
  ): Promise<void> {
    const { progress = SILENT, signal, count } = this.#options;
    const task = progress.task(label, count, 'queries');
    const joined = new JoinedQueries(this.#options, this.#survey.queries);
    try {
      for await (const group of readRewardGroups(this.#options.rewards, signal)) {
        throwIfAborted(signal);
        const join = await joined.take(group);
        if (wanted(group.queryId)) {
          const { rewarded, goldWords } = examineQuery(join.query, join.gold, join.answer, join.candidates);
          await visit(rewarded, goldWords);
        }
        task.advance();
      }
      await joined.drain();
    } finally {
      await joined.close();
      task.done();
    }
  }
}

/** @returns whether the file existed @throws ResourceError */
async function removeFile(path: string): Promise<boolean> {
  try {
    await rm(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw systemFault(error, path);
  }
}

function contentOf({ prompt, chosen, rejected }: PairRecord): string {
  return JSON.stringify([prompt, chosen, rejected]);
}

function noPairs(file: string, dropped: Record<string, number>): DataError {
  const reasons = Object.entries(dropped).map(([reason, count]) => `${count} ${reason}`);
  return new DataError(`no query gives a pair${reasons.length === 0 ? '' : ` (${reasons.join(', ')})`}`, {
    file,
    fix: 'Relax the filter (--min-similarity, --similarity-quantile) or the policy (--min-margin, --max-length-ratio).',
  });
}
