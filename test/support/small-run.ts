import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CandidateRecord, candidateIdOf, type RewardRecord } from '../../src/data/index.ts';
import { type EvaluationData, pairedTests } from '../../src/evaluate/index.ts';
import { writeJsonl } from '../../src/files/index.ts';
import { PROMPTS } from '../../src/generate/index.ts';
import { RunFolder, type StageRecord } from '../../src/pipeline/index.ts';
import { buildPairs, defaultPairSettings } from '../../src/reward/index.ts';
import { makeFolder } from '../../src/system/index.ts';
import { type MetricsRecord, metricsFile } from '../../src/train/index.ts';

/** An evaluation has many more measures than fit beside each other. */
const OTHER_MEASURES = Object.fromEntries(
  ['MAP', 'MRR', 'P', 'Hole'].flatMap((name) => [1, 3, 5, 10, 100, 1000].map((depth) => [`${name}@${depth}`, 0.5])),
);

/** What a text of a stranger may hold: markup that would run, and a character that turns the direction of writing. */
export const HOSTILE = '<img src=x onerror="document.title=1"> \u202e';

export interface SmallRunOptions {
  queries?: number;
  /** What alignment gains on every query but each third, which loses as much. */
  gain?: number;
  beta?: number;
}

const CANDIDATES = 3;
const idOf = (at: number) => `q${at}`;
const textOf = (at: number) => (at === 0 ? `what is ${HOSTILE}?` : `what is thing ${at}?`);

/** Makes the folder of a run as `llm-qe align` leaves it: each file by the code that reads and writes it, but without models. */
export async function makeSmallRun(path: string, { queries = 6, gain = 0.2, beta = 0.1 }: SmallRunOptions = {}) {
  const run = new RunFolder(path);
  await makeFolder(path);
  const stages: Record<string, StageRecord> = {};
  const stage = async (
    name: string,
    settings: Record<string, unknown>,
    work: (folder: string) => Promise<{ outputs: Record<string, string>; result: Record<string, unknown> }>,
  ) => {
    const { record, folder } = await run.stage({ stage: name, settings, run: work });
    stages[name] = record;
    return folder;
  };
  const hashOf = (name: string, output: string) => stages[name]!.outputs[output]!.sha256;
  const ids = Array.from({ length: queries }, (_, at) => at);
  const sampled = await stage('candidates', { seed: 1, samples: CANDIDATES }, async (folder) => {
    const candidates = join(folder, 'candidates.jsonl');
    await writeJsonl(candidates, ids.flatMap(candidatesOf));
    const texts = join(folder, 'queries.jsonl');
    await writeJsonl(
      texts,
      ids.map((at) => ({ _id: idOf(at), text: textOf(at) })),
    );
    return { outputs: { candidates, queries: texts }, result: { queries, candidates: queries * CANDIDATES } };
  });
  const rewarded = await stage('reward', { candidates: hashOf('candidates', 'candidates') }, async (folder) => {
    const rewards = join(folder, 'rewards.jsonl');
    await writeJsonl(rewards, ids.flatMap(rewardsOf));
    return { outputs: { rewards }, result: { queries } };
  });
  await stage('pairs', { rewards: hashOf('reward', 'rewards') }, async (folder) => {
    const { files, audit } = await buildPairs({
      queries: () => ids.map((at) => ({ id: idOf(at), text: textOf(at), documents: ['d'], goldText: `gold of ${at}` })),
      candidates: join(sampled, 'candidates.jsonl'),
      rewards: join(rewarded, 'rewards.jsonl'),
      prompt: PROMPTS.q2d,
      settings: defaultPairSettings({ minSimilarity: 0, pairs: queries - 1, dev: 1 }),
      out: join(folder, 'pairs.jsonl'),
      devOut: join(folder, 'pairs-dev.jsonl'),
      auditOut: join(folder, 'audit.json'),
    });
    const outputs = { pairs: files.pairs, audit: files.audit, ...(files.dev !== undefined && { dev: files.dev }) };
    return { outputs, result: { train: audit.pairs.train } };
  });
  await stage('dpo', { beta, pairs: hashOf('pairs', 'pairs') }, async (folder) => {
    await writeJsonl(metricsFile(folder), Array.from({ length: 20 }, (_, at) => metricsAt(at + 1)).flat());
    return { outputs: { metrics: metricsFile(folder) }, result: { steps: 20 } };
  });
  await stage('evaluate', { beta, gain }, async (folder) => {
    const evaluation = join(folder, 'evaluation.json');
    await writeFile(evaluation, JSON.stringify(evaluationOf(queries, gain)));
    return { outputs: { evaluation }, result: {} };
  });
  const recipe = {
    name: 'small',
    description: HOSTILE,
    dpo: { beta, learningRate: 2e-5 },
    candidates: { samples: CANDIDATES },
  };
  await writeFile(join(path, 'manifest.json'), JSON.stringify({ command: 'align', version: '0.1.0', recipe }));
  const page = `<!doctype html><title>report</title><style>h1 { color: rgb(1, 2, 3) }</style><h1>Report of ${path}</h1>`;
  await writeFile(join(path, 'report.html'), `${page}<script>document.title = 'ran'</script>`);
  return { run, stages };
}

/** Leaves a stage in the middle of its work, as a killed process does: with what its journal holds, and half a line. */
export async function beginStage(
  path: string,
  stage: string,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  let begun = '';
  const work = async (folder: string) => {
    begun = folder;
    for (const [name, text] of Object.entries(files)) await appendFile(join(folder, name), text);
    throw new Error('cut');
  };
  await new RunFolder(path).stage({ stage, settings: { begun: true }, run: work }).catch((error: Error) => {
    if (error.message !== 'cut') throw error;
  });
  return begun;
}

function candidatesOf(at: number): CandidateRecord[] {
  return Array.from({ length: CANDIDATES }, (_, index) => ({
    ...{ queryId: idOf(at), candidateId: candidateIdOf(idOf(at), index), index, temperature: 0.7, seed: index },
    text: at === 0 ? `${HOSTILE} ${index}` : `thing ${at} in words of kind ${index}`,
    ...{ tokens: 8, finish: 'stop' },
  }));
}

function rewardsOf(at: number): RewardRecord[] {
  return Array.from({ length: CANDIDATES }, (_, index) => ({
    ...{ queryId: idOf(at), candidateId: candidateIdOf(idOf(at), index) },
    rewards: { 'rank-gold': (index + at) % CANDIDATES },
    similarity: { gold: 0.5 + index / 10 },
    ranks: { gold: CANDIDATES - index },
    total: (index + at) % CANDIDATES,
  }));
}

export function metricsAt(step: number): MetricsRecord[] {
  const facts = { time: step * 1000, step, epoch: step / 10 };
  const loss = 0.69 - step / 100;
  const train: MetricsRecord = {
    ...{ ...facts, split: 'train' },
    values: {
      loss,
      learningRate: 1e-5,
      margin: step / 10,
      accuracy: 0.5 + step / 50,
      gradientNorm: step === 3 ? null : 1,
    },
  };
  const dev: MetricsRecord = { ...facts, split: 'dev', values: { loss: loss + 0.02, accuracy: 0.5 + step / 60 } };
  return step % 10 === 0 ? [train, dev] : [train];
}

function evaluationOf(count: number, gain: number): EvaluationData {
  const rows = Array.from({ length: count }, (_, at) => {
    const zeroShot = 0.3 + (at % 5) / 20;
    return { id: `t${at}`, raw: 0.25, zeroShot, aligned: zeroShot + (at % 3 === 2 ? -gain : gain) };
  });
  const names = ['raw', 'zeroShot', 'aligned'] as const;
  const values = new Map(names.map((name) => [name, new Map(rows.map((row) => [row.id, row[name]]))]));
  const pairs = [
    ['zeroShot', 'raw'],
    ['aligned', 'raw'],
    ['aligned', 'zeroShot'],
  ] as const;
  const mean = (name: (typeof names)[number]) => rows.reduce((sum, row) => sum + row[name], 0) / count;
  const arms = names.map((name) => ({
    ...{ name, description: `the arm ${name}`, words: name === 'raw' ? 3 : 20, bySeed: [mean(name)] },
    ...{
      alpha: name === 'raw' ? 0 : 0.5,
      tuning: [],
      measures: { 'nDCG@10': mean(name), 'Recall@100': 0.8, ...OTHER_MEASURES },
    },
  }));
  const tests = pairedTests(values, pairs, { measure: 'nDCG@10', seed: 1 });
  const main = { judge: 'an encoder', settings: { similarity: 'cosine' }, arms, tests };
  return {
    dataset: { name: 'toy', documents: 100, dev: 0, test: count },
    ...{ measure: 'nDCG@10', seeds: [1], main, judges: [] },
    queries: rows.map(({ id, raw, zeroShot, aligned }, at) => ({
      ...{ id, text: textOf(at), relevant: ['a relevant document'], values: { raw, zeroShot, aligned } },
      texts: { zeroShot: [`before: ${at === 0 ? HOSTILE : at}`], aligned: [`after: ${at === 0 ? HOSTILE : at}`] },
    })),
  };
}
