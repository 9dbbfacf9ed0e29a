import { join, resolve } from 'node:path';
import { z } from 'zod';
import { auditSuite, isExpanded, parityBySet, type SetAudit } from '../../suites/index.ts';
import { counted, DataError, UsageError, writeDurably } from '../../system/index.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { chooseSuite, refuseFailures, searchSuite, suiteOptions } from '../run-benchmark.ts';
import { formatTable } from '../table.ts';

const options = z.object({
  ...suiteOptions,
  audit: z.boolean().default(true).describe('read the data of each set completely, and list what is wrong with it'),
});

/** The raw baselines: every published score is of one of these. */
const BASELINES = { bm25: { retriever: 'bm25' }, raw: { retriever: 'dense' } };

/** `llm-qe parity`. */
export const command = defineCommand({
  name: 'parity',
  summary: 'hold the raw baselines of a suite against published scores, and audit its data',
  description:
    'Searches each set with BM25 and with the encoder, raw, and compares nDCG@10 with the score that others publish for the same search:\nequal, near or off. The audit counts ids that queries and documents share, documents that occur twice, judged documents that are\nmissing, empty texts, and queries that two splits judge. The searches are the same as in `llm-qe benchmark` with the same --out.',
  arguments: [{ key: 'suite', required: true }],
  options,
  examples: [
    ['llm-qe parity beir:scifact,nfcorpus --out runs/beir', 'BM25 and the default encoder on two sets'],
    ['llm-qe parity beir15 --out runs/beir --encoder hf:BAAI/bge-base-en-v1.5', 'another encoder, on all sets'],
  ],
  async run(given, context) {
    if (given.limit !== undefined) {
      throw new UsageError('--limit gives another score than the published one', { fix: 'Omit --limit.' });
    }
    const chosen = await chooseSuite({ ...given }, BASELINES);
    const systems = chosen.systems.filter((system) => !isExpanded(system));
    const { run, data } = await searchSuite({ ...chosen, systems, baseline: systems[0]?.name ?? '' }, given, context);
    const audits = given.audit ? await auditSuite(chosen.suite, { ...given, ...context }) : new Map<string, SetAudit>();
    const report = join(resolve(given.out), 'parity.json');
    const document = {
      parity: parityBySet(data.parity, chosen.baseline),
      audit: Object.fromEntries(audits),
      report,
    };
    await writeDurably(report, `${JSON.stringify(document, null, 1)}\n`);
    context.json(document);
    printParity(data.parity, context);
    for (const [set, audit] of audits) printAudit(set, audit, context);
    context.say(`results: ${report}`);
    for (const failure of data.failures) context.warn(failure);
    refuseFailures(run, chosen);
    refuseOff(data.parity);
  },
});

type Verdicts = Awaited<ReturnType<typeof searchSuite>>['data']['parity'];

function printParity(parity: Verdicts, { say }: CommandContext): void {
  if (parity.length === 0) {
    say('no score is published for these sets and searches');
    return;
  }
  const rows = parity.map(({ set, system, got, expected, verdict, published }) => {
    return [set, system, got.toFixed(4), expected.toFixed(4), verdict, published];
  });
  say(formatTable(['nDCG@10', 'system', 'here', 'published', 'verdict', 'of'], rows));
}

function printAudit(set: string, audit: SetAudit, { say }: CommandContext): void {
  const { documents, queries, errors, warnings, notes } = audit;
  say(`${set}: ${counted(documents, 'document')}, ${counted(queries, 'query')}`);
  for (const line of errors) say(`  error: ${line}`);
  for (const line of warnings) say(`  warning: ${line}`);
  for (const line of notes) say(`  note: ${line}`);
}

function refuseOff(parity: Verdicts): void {
  const off = parity.filter(({ verdict }) => verdict === 'off');
  if (off.length === 0) return;
  const named = off.map(({ set, system }) => `${set} (${system})`).join(', ');
  throw new DataError(`${counted(off.length, 'raw baseline is', 'raw baselines are')} off: ${named}`, {
    fix: 'Check the data (the audit above), the encoder and the settings before you quote a score.',
  });
}
