export { type BoundedJsonOptions, readBoundedJson } from './bounded-json-file.ts';
export { checkWritable, duplicateId, faultOfId, idSchema } from './id.ts';
export { hash64, IdSet } from './id-set.ts';
export { Journal, type JournalGroups } from './journal.ts';
export { type BrokenJson, readJsonFile, readJsonFileIfThere } from './json-file.ts';
export { describeIssues, parseJson, parseJsonLine, plainWords, readJsonl, writeJsonl, writeLines } from './jsonl.ts';
export { KeyedJournal } from './keyed-journal.ts';
export { LineIndex, LineReader } from './line-index.ts';
export { readLineBatches, readLines, STANDARD_INPUT, type TextLine } from './lines.ts';
export { type Problem, ProblemLog } from './problems.ts';
export { readAhead, readFully } from './read-ahead.ts';
export { asRecorded, OtherSettingsError, refuseOtherSettings } from './recorded-settings.ts';
export { RowFile } from './row-file.ts';
export {
  agreeOnSettings,
  manifestFileOf,
  newStageManifest,
  readStageManifest,
  type StageManifest,
  writeStageManifest,
} from './stage-manifest.ts';
export { readTextFile } from './text-file.ts';
