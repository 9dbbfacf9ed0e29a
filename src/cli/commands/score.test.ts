import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataError, SILENT, UsageError } from '../../system/index.ts';
import type { CommandContext } from '../command.ts';
import { command as compare } from './compare.ts';
import { command as score } from './score.ts';

let folder: string;
const file = (name: string) => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-score-'));
  writeFileSync(file('qrels.tsv'), 'query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t1\nq2\tc\t1\nq3\td\t1\n');
  writeFileSync(file('a.trec'), 'q1 Q0 b 1 3 a\nq1 Q0 a 2 2 a\nq2 Q0 x 1 2 a\nq2 Q0 c 2 1 a\n');
  writeFileSync(file('b.trec'), 'q2 Q0 c 1 2 b\nq1 Q0 a 1 3 b\nq1 Q0 b 2 2 b\n');
  writeFileSync(file('short.trec'), 'q1 Q0 a 1 3 b\n');
  writeFileSync(file('other.trec'), 'z1 Q0 a 1 3 b\n');
});

afterAll(() => rmSync(folder, { recursive: true }));

/** A context that keeps what was printed. */
function listen() {
  const lines: string[] = [];
  const documents: unknown[] = [];
  const context: CommandContext = {
    signal: new AbortController().signal,
    progress: SILENT,
    say: (line) => lines.push(line),
    warn: (line) => lines.push(line),
    json: (document) => documents.push(document),
  };
  return { lines, documents, context };
}

async function runScore(typed: Record<string, unknown>) {
  const heard = listen();
  await score.run(score.options.parse({ qrels: file('qrels.tsv'), run: file('a.trec'), ...typed }), heard.context);
  return heard;
}

async function runCompare(typed: Record<string, unknown>) {
  const heard = listen();
  const words = { qrels: file('qrels.tsv'), runA: file('a.trec'), runB: file('b.trec'), ...typed };
  await compare.run(compare.options.parse(words), heard.context);
  return heard;
}

describe('llm-qe score', () => {
  it("prints one document under trec_eval's names", async () => {
    const { documents } = await runScore({ json: true });
    expect(documents).toHaveLength(1);
    expect(documents[0]).toMatchObject({
      all: { ndcg_cut_10: expect.closeTo(0.745325, 5), map: 0.75, recip_rank: 0.75, num_q: 2, P_1: 0.5 },
      perQuery: {},
      queries: 2,
      missing: 1,
    });
  });

  it('prints the values of each query on request', async () => {
    const { documents, lines } = await runScore({ perQuery: true, measure: ['MRR@10', 'map'] });
    expect(documents[0]).toMatchObject({
      all: { recip_rank_cut_10: 0.75, map: 0.75 },
      perQuery: { q1: { recip_rank_cut_10: 1, map: 1 }, q2: { recip_rank_cut_10: 0.5, map: 0.5 } },
    });
    expect(lines).toContain(`${'map'.padEnd(22)}\tq2\t0.5000`);
    expect(lines).toContain(`${'map'.padEnd(22)}\tall\t0.7500`);
  });

  it('counts missing queries as 0 on request, and reports it', async () => {
    const { documents, lines } = await runScore({ complete: true, measure: ['map'] });
    expect(documents[0]).toMatchObject({ all: { map: 0.5 }, queries: 3, complete: true });
    expect(lines[0]).toBe('3 queries (1 judged but not in the run: counted as 0)');
    expect((await runScore({})).lines[0]).toBe('2 queries (1 judged but not in the run: skipped)');
  });

  it('prints a grid of families and cutoffs', async () => {
    const { lines } = await runScore({});
    expect(lines[1]!.trim().split(/\s+/)).toEqual(['@1', '@3', '@5', '@10', '@100', '@1000', 'all']);
    expect(
      lines
        .find((line) => line.startsWith('MAP'))!
        .trim()
        .split(/\s+/),
    ).toHaveLength(8);
    expect(lines.at(-1)!.trim().split(/\s+/)).toEqual(['num_rel_ret', '3']);
  });

  it('refuses what it cannot score', async () => {
    await expect(runScore({ measure: ['nDGC@10'] })).rejects.toThrow(UsageError);
    await expect(runScore({ run: file('other.trec') })).rejects.toThrow(/no query of the run is judged/);
    await expect(runScore({ run: file('absent.trec') })).rejects.toThrow(DataError);
  });
});

describe('llm-qe compare', () => {
  it('prints one document', async () => {
    const { documents } = await runCompare({ measure: ['MRR', 'ndcg_cut_10'], json: true });
    expect(documents[0]).toMatchObject({
      queries: 2,
      missing: { policy: 'refuse', a: 0, b: 0 },
      comparisons: [
        {
          measure: 'MRR',
          meanA: 0.75,
          meanB: 1,
          delta: 0.25,
          tTest: { df: 1, p: expect.closeTo(0.5), pHolm: expect.closeTo(0.53752, 4) },
          randomization: { p: 1, exact: true },
          helped: 1,
          hurt: 0,
          unchanged: 1,
          gains: [{ query: 'q2', a: 0.5, b: 1, delta: 0.5 }],
          losses: [],
        },
        { measure: 'nDCG@10', meanB: 1, helped: 2 },
      ],
    });
  });

  it('accepts several runs per system', async () => {
    const { documents, lines } = await runCompare({ alsoA: [file('b.trec')], measure: ['MRR'] });
    expect(documents[0]).toMatchObject({ alsoA: [file('b.trec')], comparisons: [{ meanA: 0.875, meanB: 1 }] });
    expect(lines.join('\n')).toContain('a.trec and 1 more');
  });

  it('prints means, tests and the biggest movers', async () => {
    const { lines } = await runCompare({ runA: file('b.trec'), runB: file('a.trec') });
    const text = lines.join('\n');
    expect(text).toMatch(/A +1\.0000 {2}b\.trec/);
    expect(text).toMatch(/B - A +-0\.2547 \(-25\.5 %\), 95 % interval -0\.3691 to -0\.1403/);
    expect(text).toMatch(/0 helped, 2 hurt, 0 unchanged\n {2}lost most\n {4}-0\.3691 {2}1\.0000 -> 0\.6309 {2}q2/);
    expect(text).not.toContain('Holm');
  });

  it('refuses runs over different queries without --missing', async () => {
    const runB = file('short.trec');
    await expect(runCompare({ runB })).rejects.toThrow(/the runs hold different queries/);
    const { documents, lines } = await runCompare({ runB, missing: 'zero', measure: ['MRR'] });
    expect(documents[0]).toMatchObject({ queries: 2, missing: { policy: 'zero', a: 0, b: 1 } });
    expect(lines[0]).toContain('counted as 0');
    expect((await runCompare({ runB, missing: 'common' })).documents[0]).toMatchObject({ queries: 1 });
  });
});
