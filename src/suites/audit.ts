import { join } from 'node:path';
import { z } from 'zod';
import { checkBeir, type DatasetCheck } from '../data/index.ts';
import { readJsonFile } from '../files/index.ts';
import { RunFolder } from '../pipeline/index.ts';
import { DataError, isAbort, LlmQeError, type Progress, writeDurably } from '../system/index.ts';
import { resultsFolder } from './run-suite.ts';
import { hashesOf, openSet, type SetDataOptions } from './set-data.ts';
import type { Suite, SuiteSet } from './suite-schema.ts';

/** Increase it when the same data would give another audit. */
const AUDIT_FORMAT = 1;
const FILE = 'audit.json';

const auditSchema = z.object({
  documents: z.number(),
  emptyDocuments: z.number(),
  duplicateDocuments: z.number(),
  queries: z.number(),
  emptyQueries: z.number(),
  duplicateQueries: z.number(),
  /** Queries whose id is also a document's. */
  collisions: z.number(),
  /** Judged queries, relevant judgements and queries without one, by split. */
  splits: z.record(z.string(), z.object({ queries: z.number(), relevant: z.number(), withoutRelevant: z.number() })),
  /** What is wrong, or worth knowing: kinds of problems with counts, and notes. */
  errors: z.array(z.string()),
  warnings: z.array(z.string()),
  notes: z.array(z.string()),
});

/** What a look at the data of a set shows, before any score is believed. */
export type SetAudit = z.output<typeof auditSchema>;

export interface AuditOptions extends SetDataOptions {
  out: string;
}

/**
 * Reads the data of every set completely: ids that queries and documents share, documents that occur twice, judged documents that are
 * missing, empty texts, splits. An audit is kept as long as the data stays the same. A set that cannot be read is left out: the
 * search reports it.
 */
export async function auditSuite({ sets }: Suite, options: AuditOptions): Promise<Map<string, SetAudit>> {
  const audits = new Map<string, SetAudit>();
  for (const set of sets) {
    const audit = await auditSet(set, options).catch((error: unknown) => {
      if (isAbort(error) || !(error instanceof LlmQeError)) throw error;
      return undefined;
    });
    if (audit !== undefined) audits.set(set.name, audit);
  }
  return audits;
}

async function auditSet(set: SuiteSet, options: AuditOptions): Promise<SetAudit> {
  const { signal, progress, out } = options;
  const dataset = await openSet(set, options);
  const qrels: Record<string, string> = {};
  for (const split of await dataset.splits()) qrels[split] = (await hashesOf(dataset, split, signal)).qrels;
  const { corpus, queries } = await hashesOf(dataset, set.split, signal);
  const { folder } = await new RunFolder(resultsFolder(out, set.name)).stage({
    stage: 'audit',
    settings: { format: AUDIT_FORMAT, corpus, queries, qrels },
    run: (at) => writeAudit(dataset.folder, at, { signal, progress }),
  });
  const file = join(folder, FILE);
  return readJsonFile(file, auditSchema, (cause) => {
    return new DataError('is not an audit', { file, fix: `Remove ${folder} to audit the data again.`, cause });
  });
}

async function writeAudit(
  dataset: string,
  folder: string,
  options: { signal: AbortSignal | undefined; progress: Progress | undefined },
) {
  const audit = condense(await checkBeir(dataset, options));
  const file = join(folder, FILE);
  await writeDurably(file, `${JSON.stringify(audit, null, 1)}\n`);
  return { outputs: { audit: file }, result: {} };
}

function condense({ documents, queries, splits, collisions, duplicates, problems, notes }: DatasetCheck): SetAudit {
  const inWords = (wanted: string) =>
    problems.filter(({ level }) => level === wanted).map(({ what, count }) => `${what}: ${count}`);
  return {
    ...{ documents: documents.count, emptyDocuments: documents.empty, duplicateDocuments: duplicates.documents },
    ...{ queries: queries.count, emptyQueries: queries.empty, duplicateQueries: duplicates.queries },
    collisions: collisions.queries,
    splits: Object.fromEntries(
      Object.entries(splits).map(([split, { queries: judged, relevant, withoutRelevant }]) => {
        return [split, { queries: judged, relevant, withoutRelevant }];
      }),
    ),
    ...{ errors: inWords('error'), warnings: inWords('warning'), notes: [...notes] },
  };
}
