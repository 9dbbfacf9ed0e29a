export { BeirDataset } from './beir.ts';
export { documentSchema, querySchema, readCorpus, readQueries } from './corpus.ts';
export { expansionSchema, readExpansions } from './expansions.ts';
export { idSchema } from './id.ts';
export { IdSet } from './id-set.ts';
export { Journal } from './journal.ts';
export { readJsonl, writeJsonl, writeLines } from './jsonl.ts';
export { readLines } from './lines.ts';
export { type Document, documentText, type Expansion, type Query, type Triple } from './records.ts';
export {
  readJudgements,
  readQrels,
  readRun,
  writeBeirQrels,
  writeRun,
  writeTrecQrels,
} from './trec.ts';
