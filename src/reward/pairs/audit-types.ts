import type { RewardSummary } from '../reward-summary.ts';
import type { Distribution } from './distribution.ts';
import type { PairSettings } from './pair-settings.ts';

/** One side of an example. */
export interface AuditText {
  text: string;
  reward: number;
  quotes: boolean;
}

/** A drawn pair that a reader can look at. */
export interface AuditExample {
  queryId: string;
  query: string;
  gold: string;
  answer: string | undefined;
  chosen: AuditText;
  rejected: AuditText;
  part: 'train' | 'dev';
}

/** A candidate that quotes the gold document. */
export interface AuditQuote {
  queryId: string;
  query: string;
  gold: string;
  text: string;
}

/** What became of the candidates of one temperature. */
export interface TemperatureShare {
  temperature: number;
  candidates: number;
  meanReward: number;
  chosen: number;
  rejected: number;
}

/** Everything that can be said of rewards and pairs before a model is trained on them: `audit.json`. */
export interface RewardAudit {
  /** What `llm-qe reward` wrote of itself, where its summary was found. */
  rewarding: RewardSummary | undefined;
  settings: PairSettings;
  /** Best similarity below which a query was dropped, as it was applied. */
  threshold: number;
  /** The cosines that it is the sum of: that to the answer counts where all queries have one. Missing in audits of old. */
  similarity?: 'gold' | 'gold + answer';
  queries: {
    /** Queries that candidates were asked for; where no manifest tells how many, those with candidates. */
    all: number;
    /** Queries with at least one pair. */
    kept: number;
    /** The others, by reason. */
    dropped: Record<string, number>;
  };
  pairs: {
    /** Pairs that the settings allow. */
    built: number;
    /** Pairs left out since the very same was built before. */
    repeated: number;
    train: number;
    dev: number;
    /** Built and not drawn. */
    left: number;
  };
  candidates: {
    count: number;
    /** Share whose text another candidate of the query has too. */
    duplicates: number;
    /** Share that quotes a gold document: a leak. */
    quoting: number;
    /** Queries with such a candidate. */
    queriesQuoting: number;
    /** Mean share of a candidate's stretches of 4 words that a gold document holds too. */
    overlap: number;
    byTemperature: TemperatureShare[];
  };
  rewards: {
    /** Of each reward by name, and of the `total`: best less worst within a query. */
    spread: Record<string, Distribution>;
    /** Best similarity of a query, as the filter takes it. */
    bestSimilarity: Distribution;
  };
  /** Kendall's tau-b within a query of the rankings by gold document and by answer; undefined without answers. */
  agreement: Distribution | undefined;
  answers: {
    count: number;
    /** Share that is copied from a gold document. */
    copied: number;
    overlap: number;
  };
  /** Of the pairs that were drawn, both parts. */
  sides: {
    margin: Distribution;
    chosenWords: Distribution;
    rejectedWords: Distribution;
    /** Share of the pairs whose chosen side has more words, and fewer. */
    chosenLonger: number;
    chosenShorter: number;
    chosenQuotes: number;
    rejectedQuotes: number;
  };
  examples: AuditExample[];
  quotes: AuditQuote[];
}
