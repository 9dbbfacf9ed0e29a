import { join } from 'node:path';
import { buildWordnetDataset, openTrainingSource, type TrainingSource } from '../../src/data/index.ts';
import { CANDIDATE_TEMPERATURES, loadGenerator, PROMPTS, sampleCandidates } from '../../src/generate/index.ts';
import { DEFAULT_GENERATOR, ModelStore, type ResolvedModel } from '../../src/models/index.ts';
import { type Row, runPeer, scaled, threadCount, withFolder } from '../harness.ts';
import { renderPrompts } from '../prompts.ts';

const TOKENS = scaled(64, 8);
const SAMPLES = 8;
const SEQUENCES = SAMPLES * CANDIDATE_TEMPERATURES.length;
const QUERIES = scaled(6, 2);
const CONTEXT = 256;

/** Measures tokens per second of the complete stage, including the file: 8 samples at each of four temperatures per query. */
export async function run(): Promise<Row[]> {
  const model = await new ModelStore().resolve(DEFAULT_GENERATOR, { kind: 'generator' });
  return withFolder(async (folder) => {
    const queriesOf = await trainingQueries(join(folder, 'wordnet'));
    const quick = await measure(model, queriesOf, { folder, quickWeights: true });
    const plain = await measure(model, queriesOf, { folder, quickWeights: false });
    const questions: string[] = [];
    for await (const { text } of (await queriesOf(QUERIES))()) questions.push(text);
    const groups = await renderPrompts(
      model.path,
      [questions[0]!, ...questions].map((question) => [question]),
    );
    const peer = runPeer<{ batched: number }>('generate.py', {
      ...{ model: model.path, groups, tokens: TOKENS, sequences: SEQUENCES, temperatures: CANDIDATE_TEMPERATURES },
      ...{ context: CONTEXT, threads: threadCount() },
    });
    const common = { unit: 'tokens/s', largerIsBetter: true, peer: peer?.batched, peerName: 'llama.cpp in lockstep' };
    return [
      { what: `32 candidates per query, ${TOKENS} tokens`, ...common, ...quick },
      { what: 'the same, with the original weights of the file', ...common, ...plain },
    ];
  });
}

/** Returns a function that samples a number of WordNet's questions. */
async function trainingQueries(dataset: string): Promise<(limit: number) => Promise<TrainingSource>> {
  await buildWordnetDataset({ out: dataset, corpus: 500, train: 30, dev: 0, test: 0 });
  return (limit) => openTrainingSource({ dataset, split: 'train', limit, sampleSeed: 1, withGold: false });
}

async function measure(
  model: ResolvedModel,
  queriesOf: (limit: number) => Promise<TrainingSource>,
  { folder, quickWeights }: { folder: string; quickWeights: boolean },
): Promise<{ ours: number; note: string }> {
  const generator = await loadGenerator(model, {
    ...{ sequences: SEQUENCES, threads: threadCount(), contextSize: CONTEXT, quickWeights },
  });
  const sample = async (limit: number) =>
    sampleCandidates({
      ...{ queries: await queriesOf(limit), generator, prompt: PROMPTS.q2d, samples: SAMPLES },
      ...{ sampling: { maxTokens: TOKENS }, out: join(folder, `${quickWeights}-${limit}.jsonl`) },
    });
  await sample(1);
  const { tokensPerSecond, cutByLength, candidates } = await sample(QUERIES);
  await generator.close();
  return { ours: tokensPerSecond, note: `${cutByLength} of ${candidates} texts of full length` };
}
