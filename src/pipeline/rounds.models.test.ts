import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeTinyDataset } from '../../test/support/tiny-dataset.ts';
import { AbortedError, type Progress, type ProgressTask, SILENT } from '../system/index.ts';
import { type AlignOptions, type AlignResult, align } from './align.ts';
import { parseRecipe } from './alignment-stages.ts';
import type { FinishedStage } from './run/run-folder.ts';

/** Two whole rounds of both trainings, on models with a few thousand weights: their texts are noise, but what feeds what is real. */
const folder = mkdtempSync(join(tmpdir(), 'llm-qe-rounds-'));

const RECIPE = `
name: tiny
data: { kind: beir, folder: ${JSON.stringify(join(folder, 'set'))} }
generator: { model: ${JSON.stringify(resolve('src/generate/goldens/tiny-llama.gguf'))}, context: 64, sequences: 4 }
encoder: { model: ${JSON.stringify(resolve('src/embed/goldens/tiny-encoder'))} }
prompt: "{query}"
candidates: { samples: 2, temperatures: [1, 1.5], maxTokens: 6 }
answers: { enabled: false }
reward: { weights: { similarity-gold: 1 } }
pairs: { minSimilarity: -2, dev: 0 }
rounds: 2
dpo: { epochs: 1, batchSize: 2, maxLength: 64, learningRate: 0.001 }
sft: { enabled: false }
retriever: { enabled: true, epochs: 1, batchSize: 2, learningRate: 0.01, dev: 0.25, devSearch: true }
student: { enabled: true, epochs: 1, batchSize: 2, learningRate: 0.01 }
expansion: { maxTokens: 6 }
evaluation: { alphas: [0, 0.5], depth: 5 }
`;

beforeAll(() => {
  vi.stubEnv('LLM_QE_HOME', join(folder, 'home'));
  writeTinyDataset(join(folder, 'set'));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function run(options: Partial<AlignOptions> & { set?: string[] } = {}): Promise<AlignResult> {
  const { set = [], ...rest } = options;
  return align(parseRecipe(RECIPE, 'tiny.yaml', set), { folder: join(folder, 'run'), threads: 1, ...rest });
}

const hashOf = ({ stages }: Pick<AlignResult, 'stages'>, stage: string, output: string) =>
  stages.get(stage)!.record.outputs[output]!.sha256;
const settingsOf = ({ stages }: Pick<AlignResult, 'stages'>, stage: string) => stages.get(stage)!.record.settings;

/** Stages by round and name, as they end. */
function watch() {
  const seen = new Map<string, FinishedStage>();
  const onStage: AlignOptions['onStage'] = (name, stage, round) => seen.set(`${round} ${name}`, stage);
  const trained = (round: number, stage: string, output: string) =>
    seen.get(`${round} ${stage}`)!.record.outputs[output]!.sha256;
  return { seen, onStage, trained };
}

/** Stops the run after a step of the training that follows the stage. */
function stopAfterStep(stage: string) {
  const stop = new AbortController();
  let isNext = false;
  const onStage: AlignOptions['onStage'] = (name) => {
    isNext = name === stage;
  };
  const task = (words: string): ProgressTask => ({
    ...SILENT.task('', undefined, ''),
    advance: () => {
      if (isNext && words.startsWith('training')) stop.abort();
    },
  });
  return { signal: stop.signal, onStage, progress: { ...SILENT, task } as Progress };
}

describe('two rounds of both trainings', { timeout: 600_000 }, () => {
  it('end with all arms of the best, and a report of the path', async () => {
    const { seen, onStage, trained } = watch();
    const result = await run({ onStage });
    expect(result.rounds.map(({ round }) => round)).toEqual([1, 2]);
    expect(result.evaluation!.main.arms.map(({ name }) => name)).toEqual([
      ...['raw', 'zeroShot', 'aligned', 'retriever', 'retriever+aligned', 'student'],
    ]);
    const best = result.rounds.reduce((one, other) => (other.value > one.value ? other : one));
    expect(result.best).toBe(best.round);
    const shown = readFileSync(result.reportFile!, 'utf8');
    for (const words of ['The rounds', 'Retriever: loss', 'Student: loss']) expect(shown).toContain(words);
    // What the second round starts from.
    const [rewards, candidates] = ['reward', 'candidates'].map((name) => seen.get(`2 ${name}`)!.record.settings);
    expect(rewards!.encoder).toMatchObject({ trained: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(candidates!.generator).toMatchObject({ model: trained(2, 'merge', 'model') });
    expect(trained(1, 'retriever', 'encoder')).not.toBe(trained(2, 'retriever', 'encoder'));
    expect(seen.get('2 retriever')!.record.settings.base).toEqual(seen.get('1 retriever')!.record.settings.base);
    expect(seen.get('1 student')!.record.settings.base).toMatchObject({ trained: expect.any(String) });
  });

  it('repeat nothing, and share what a changed setting leaves', async () => {
    const { seen, onStage } = watch();
    await run({ onStage });
    expect([...seen].filter(([, { reused }]) => !reused)).toEqual([]);
    const { seen: changed, onStage: onChanged } = watch();
    await run({ onStage: onChanged, set: ['student.temperature=0.1'] });
    const repeated = [...changed].filter(([, { reused }]) => !reused).map(([name]) => name);
    expect(repeated).toEqual(['1 student', '1 dev', '2 student', '2 dev', expect.stringMatching(/^[12] evaluate$/)]);
  });

  it('resume within the training of the retriever, and end with the same bytes', async () => {
    const place = join(folder, 'stopped');
    const stopping = stopAfterStep('retriever-data');
    await expect(run({ folder: place, ...stopping })).rejects.toBeInstanceOf(AbortedError);
    const [whole, resumed] = [watch(), watch()];
    await run({ onStage: whole.onStage });
    await run({ folder: place, onStage: resumed.onStage });
    for (const round of [1, 2]) {
      expect(resumed.trained(round, 'retriever', 'encoder')).toBe(whole.trained(round, 'retriever', 'encoder'));
      expect(resumed.trained(round, 'student', 'student')).toBe(whole.trained(round, 'student', 'student'));
    }
  });

  it('may train the retriever first, on the expansions of the LLM that the round starts from, with mined negatives', async () => {
    const mined = ['mine.enabled=true', 'mine.negatives=2', 'mine.querySide=query'];
    const set = ['order=retriever-first', 'rounds=1', 'student.enabled=false', ...mined];
    const result = await run({ folder: join(folder, 'first'), set });
    expect([...result.stages.keys()].slice(0, 4)).toEqual(['retriever-data', 'mine', 'retriever', 'candidates']);
    const { folder: place, record } = result.stages.get('mine')!;
    const rows = readFileSync(join(place, record.outputs.rows!.file), 'utf8').trim().split('\n');
    for (const { positives, negatives } of rows.map((row) => JSON.parse(row))) {
      expect(negatives).toHaveLength(2);
      expect(negatives.map(({ id }: { id: string }) => id)).not.toContain(positives[0].id);
    }
    expect(settingsOf(result, 'retriever').rows).toBe(hashOf(result, 'mine', 'rows'));
    expect(settingsOf(result, 'reward').encoder).toMatchObject({ trained: expect.any(String) });
    expect(settingsOf(result, 'evaluate').encoder).toMatchObject({ model: expect.any(String) });
    expect(settingsOf(result, 'retriever-data').writer).not.toHaveProperty('trained');
    expect(hashOf(result, 'retriever', 'encoder')).toMatch(/^[0-9a-f]{64}$/);
  });

  it('may distil a student with a query side of its own, or a linear map, which changes every key after it', async () => {
    const set = ['rounds=1', 'retriever.enabled=false', 'student.method=ridge'];
    const place = join(folder, 'students');
    const keyOf = async (...more: string[]) =>
      settingsOf(await run({ folder: place, set: [...set, ...more] }), 'evaluate').student as { trained: string };
    const [first, second] = [await keyOf('student.ridge=0.1'), await keyOf('student.ridge=10')];
    // The weights file of both is that of the documents' encoder, which no map changes.
    expect(first.trained).not.toBe(second.trained);
  });
});
