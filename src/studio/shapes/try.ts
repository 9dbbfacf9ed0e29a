/** How a try searches. */
export type TryRetriever = 'dense' | 'bm25' | 'rrf';

/** `GET /api/try`: what the screen offers. */
export interface TryFacts {
  corpora: { name: string; path: string }[];
  /** Who can write expansions; the first is the default. */
  writers: TryWriter[];
  /** Published prompts, and first the one that the studio was started with. */
  prompts: { name: string; text: string }[];
  samples: number;
  alpha: number;
  queryRepeats: number;
  encoder: string;
  /** Settings of the search, beside the encoder, with which the studio was started and that are not the usual ones. */
  searchSettings: Record<string, string | number | boolean>;
  /** The same of the language model, as options of the command line. */
  generatorOptions: (readonly [option: string, value: string])[];
  sampling: { temperature: number; topP: number; topK: number; maxTokens: number };
  seed: number;
  /** A longer query is refused. */
  longestQuery: number;
  longestPrompt: number;
  mostSamples: number;
}

/** A language model, or one with an adapter. */
export interface TryWriter {
  name: string;
  /** As they are named on the command line. */
  generators: readonly string[];
  adapters: readonly string[];
}

/** `GET /api/try/examples`: queries that came with a corpus. */
export interface TryExamples {
  /** How many there are in all. */
  total: number;
  queries: { id: string; text: string; isJudged: boolean }[];
}

/** Body of `POST /api/try/expand`. */
export interface TryExpand {
  query: string;
  writer: string;
  prompt: string;
  samples: number;
}

/** The event `texts` of `POST /api/try/expand`, again and again, and `written` at its end. */
export interface TryTexts {
  /** One a sample; empty before its first word // [samples] */
  texts: string[];
}

export interface TryWritten extends TryTexts {
  /** Number of texts that were written before, and kept. */
  kept: number;
  /** Tokens that were written now, if the writer says. */
  tokens: number;
  milliseconds: number;
}

/** Body of `POST /api/try/rank`. */
export interface TryRank {
  corpus: string;
  query: string;
  /** The expansions of each arm, beside the raw query. */
  arms: { texts: string[] }[];
  retriever: TryRetriever;
  alpha: number;
  queryRepeats: number;
  top: number;
  /** Only documents that hold this text, in any case of letters. */
  filter: string;
}

export interface TryRankings {
  /** Documents in the corpus, and those that pass the filter. */
  documents: number;
  passing: number;
  /** The query among those that came with the corpus; undefined if it is none of them. */
  known: { id: string; judgements: number; relevant: number } | undefined;
  raw: TryRanking;
  arms: TryRanking[];
  /** What the server took. */
  milliseconds: number;
}

export interface TryRanking {
  cards: TryCard[];
  /** Of judged queries. */
  ndcg10: number | undefined;
}

export interface TryCard {
  id: string;
  /** Among the documents that pass the filter. */
  rank: number;
  /**
   * The rank of the same document for the raw query (in an arm), or in each arm (in the raw list); null if it is not found there.
   */
  others: (number | null)[];
  score: number;
  /** Grade of the judges; undefined if it is not judged. */
  relevance: number | undefined;
  title: string;
  snippet: SnippetPiece[];
  why: Why;
}

export interface SnippetPiece {
  text: string;
  /** Where the word comes from; undefined for the text between. */
  of?: 'query' | 'expansion' | undefined;
}

/** What a document's score is made of. */
export interface Why {
  /** The sum of the shares of its kind. */
  dense?: { score: number; query: number; expansions: number[] } | undefined;
  bm25?: { score: number; terms: WhyTerm[] } | undefined;
  /** Reciprocal ranks: 1 / (k + rank), weighted; undefined where it is not among the first. */
  fused?: { k: number; depth: number; dense: WhyRank | undefined; bm25: WhyRank | undefined } | undefined;
}

export interface WhyTerm {
  term: string;
  share: number;
  /** The part of the share that the words of the query earn; the expansions earn the rest. */
  ofQuery: number;
}

export interface WhyRank {
  rank: number;
  share: number;
}
