/** How documents are searched: by vectors, by words, or by both. */
export type RetrieverName = 'dense' | 'bm25' | 'rrf';

/** `GET /api/judge`: what can be judged, and what was begun. */
export interface JudgeOverview {
  /** The folder of the sessions. */
  folder: string;
  corpora: { name: string; hasQueries: boolean }[];
  sessions: ListedSession[];
}

export interface ListedSession {
  name: string;
  corpus: string;
  queries: number;
  retrievers: RetrieverName[];
  /** Milliseconds since 1970. */
  changedAt: number;
}

/** Queries of a new session: of the corpus's own file, at most so many, drawn at random; or as a text of lines. */
export type JudgeQueries = { from: 'corpus'; most: number } | { from: 'text'; text: string };

/** `POST /api/judge/sessions` */
export interface NewSession {
  name: string;
  corpus: string;
  queries: JudgeQueries;
  retrievers: RetrieverName[];
  /** Whether expanded queries are compared with raw ones. */
  expand: boolean;
  /** Results of each arm that are pooled. */
  depth: number;
  seed: number;
}

/** How far one judge is. */
export interface JudgeProgress {
  /** Documents to judge, over the queries that were searched. */
  documents: number;
  judged: number;
  skipped: number;
}

/** `GET /api/judge/sessions/NAME?judge=...` */
export interface JudgeSession {
  name: string;
  corpus: string;
  retrievers: RetrieverName[];
  expand: boolean;
  depth: number;
  /** Queries whose results are there. */
  prepared: number;
  preparing: boolean;
  /** Why the preparation ended before its end. */
  fault?: { message: string; fix: string } | undefined;
  queries: ListedQuery[];
  judges: { name: string; judged: number }[];
  progress: JudgeProgress;
  /** Grows with every entry. */
  version: number;
}

/** A query of a session, as one judge left it. */
export interface ListedQuery {
  row: number;
  id: string;
  text: string;
  isReady: boolean;
  documents: number;
  judged: number;
  skipped: number;
}

/** `GET /api/judge/sessions/NAME/queries/ROW?judge=...`: the results of all arms together, in an order of this judge's own. */
export interface JudgeQuery {
  row: number;
  id: string;
  text: string;
  documents: JudgeDocument[];
}

export interface JudgeDocument {
  id: string;
  text: string;
  /** Whether the text is longer than what is shown. */
  isCut: boolean;
  /** Whether a judge found it by words: it was in no arm's results. */
  isFound: boolean;
  /** From 0 to 3. */
  grade?: number | undefined;
  isSkipped: boolean;
  note: string;
}

/** `POST /api/judge/sessions/NAME/entries`: a grade, a note, or that the judge leaves it open. */
export interface NewEntry {
  judge: string;
  row: number;
  document: string;
  grade?: number | undefined;
  skip?: true | undefined;
  note?: string | undefined;
}

/** The answer to an entry, once it is on the disk. */
export interface EntryKept {
  version: number;
  progress: JudgeProgress;
}

/** `POST /api/judge/sessions/NAME/undo`: what was taken back; undefined if there was nothing. */
export interface Undone extends EntryKept {
  undone?: { row: number; document: string } | undefined;
}

/** An arm's quality over the queries with judgements. */
export interface ArmFigures {
  name: string;
  retriever: RetrieverName;
  isExpanded: boolean;
  mean: number;
  /** 95 % bootstrap interval of the mean. */
  interval: [number, number];
  /** Fraction of the first results that are judged. */
  judged: number;
}

/** Expanded against raw, of one retriever. */
export interface PairFigures {
  retriever: RetrieverName;
  helped: number;
  hurt: number;
  unchanged: number;
  delta: number;
  interval: [number, number];
  /** The p-value of the randomisation test. */
  p: number;
  /** The decision, in one sentence. */
  sentence: string;
  decision: 'recommended' | 'not recommended' | 'too few queries';
}

/** `GET /api/judge/sessions/NAME/figures?judge=...` */
export interface JudgeFigures {
  measure: string;
  /** Queries with at least one judgement. */
  queries: number;
  arms: ArmFigures[];
  pairs: PairFigures[];
  /** What expansion takes, in milliseconds; undefined if nothing was expanded. */
  latency?: { median: number; p95: number; queries: number } | undefined;
  /** Sentences that must accompany the numbers. */
  notes: string[];
}

/** `GET /api/judge/sessions/NAME/agreement`: every two judges. */
export interface JudgeAgreement {
  pairs: JudgePair[];
}

export interface JudgePair {
  judges: [string, string];
  /** Documents that both graded. */
  items: number;
  /** Fraction of equal grades. */
  equal: number;
  kappa?: number | undefined;
  weighted?: number | undefined;
  /** How often the first gave grade i and the second grade j. */
  table: number[][];
  /** The widest apart first. */
  disagreements: { row: number; query: string; document: string; grades: [number, number] }[];
}

/** `GET /api/judge/sessions/NAME/find?row=...&words=...` */
export interface FoundDocuments {
  documents: { id: string; text: string; isPooled: boolean }[];
}
