import type { RewardSummary } from '../reward-summary.ts';
import type { Distribution } from './distribution.ts';
import type { PairSettings } from './pair-settings.ts';

/** One side of an example. */
export interface AuditText {
  text: string;
  reward: number;
  quotes: boolean;
}

/** A drawn pair shown as an example. */
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

/** Statistics of the candidates of one temperature. */
export interface TemperatureShare {
  temperature: number;
  candidates: number;
  meanReward: number;
  chosen: number;
  rejected: number;
}

/** The audit of rewards and pairs before a model is trained on them: `audit.json`. */
export interface RewardAudit {
  /** The summary that `llm-qe reward` wrote, if it was found. */
  rewarding: RewardSummary | undefined;
  settings: PairSettings;
  /** The applied threshold: a query whose best similarity is lower was dropped. */
  threshold: number;
  /** The cosines that the similarity sums: the answer's counts if all queries have one. Missing in older audits. */
  similarity?: 'gold' | 'gold + answer';
  queries: {
    /** Queries for which candidates were requested; if no manifest records their number, those with candidates. */
    all: number;
    /** Queries with at least one pair. */
    kept: number;
    /** The other queries, by reason. */
    dropped: Record<string, number>;
  };
  pairs: {
    /** Pairs that the settings allow. */
    built: number;
    /** Pairs skipped because the same pair was built before. */
    repeated: number;
    train: number;
    dev: number;
    /** Built but not drawn. */
    left: number;
  };
  candidates: {
    count: number;
    /** Fraction whose text equals that of another candidate of the query. */
    duplicates: number;
    /** Fraction that quotes a gold document: a leak. */
    quoting: number;
    /** Queries with such a candidate. */
    queriesQuoting: number;
    /** Mean fraction of a candidate's 4-word sequences that also occur in a gold document. */
    overlap: number;
    byTemperature: TemperatureShare[];
  };
  rewards: {
    /** Per reward, and for the `total`: best minus worst within a query. */
    spread: Record<string, Distribution>;
    /** Best similarity of each query, as the filter uses it. */
    bestSimilarity: Distribution;
  };
  /** Kendall's tau-b between the rankings by gold document and by answer within a query; undefined without answers. */
  agreement: Distribution | undefined;
  answers: {
    count: number;
    /** Fraction copied from a gold document. */
    copied: number;
    overlap: number;
  };
  /** Of the drawn pairs in both parts. */
  sides: {
    margin: Distribution;
    chosenWords: Distribution;
    rejectedWords: Distribution;
    /** Fractions of the pairs whose chosen side has more words, and fewer. */
    chosenLonger: number;
    chosenShorter: number;
    chosenQuotes: number;
    rejectedQuotes: number;
  };
  examples: AuditExample[];
  quotes: AuditQuote[];
}
