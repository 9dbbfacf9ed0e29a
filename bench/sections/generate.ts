import { type GenerationRequest, type Generator, loadGenerator, PROMPTS } from '../../src/generate/index.ts';
import { DEFAULT_GENERATOR, ModelStore } from '../../src/models/index.ts';
import { deriveSeed } from '../../src/system/index.ts';
import { median, REPETITIONS, type Row, runPeer, scaled, threadCount, withFolder } from '../harness.ts';
import { renderPrompts } from '../prompts.ts';
import { readWordnet } from '../wordnet.ts';

const TOKENS = scaled(64, 8);
const SEQUENCES = 32;
const CONTEXT = 256;

/** Number of consecutive texts in the measurement with one sequence. */
const TEXTS = scaled(4, 1);

/** Questions of one repetition. Each repetition has its own, so no prompt is still in a cache. */
type Group = string[];

/** Tokens per second, including prompts: one text after another, and 32 samples of one prompt in parallel. */
export async function run(): Promise<Row[]> {
  const model = await new ModelStore().resolve(DEFAULT_GENERATOR, { kind: 'generator' });
  const groups = await makeGroups();
  const open = (sequences: number) => loadGenerator(model, { sequences, threads: threadCount(), contextSize: CONTEXT });
  const single = await measure(await open(1), groups, (group, name) =>
    group.map((question, at) => request(`${name}-${at}`, question)),
  );
  const batched = await measure(await open(SEQUENCES), groups, (group, name) =>
    Array.from({ length: SEQUENCES }, (_none, sample) => request(`${name}-${sample}`, group[0]!)),
  );
  const peer = runPeer<{ single: number; batched: number }>('generate.py', {
    model: model.path,
    groups: await renderPrompts(model.path, groups),
    tokens: TOKENS,
    sequences: SEQUENCES,
    context: CONTEXT,
    threads: threadCount(),
  });
  const common = { unit: 'tokens/s', largerIsBetter: true };
  return [
    { what: `1 sequence, ${TOKENS} tokens`, ...common, ...single, peer: peer?.single, peerName: 'llama-cpp-python' },
    {
      ...{ what: `${SEQUENCES} sequences, ${TOKENS} tokens`, ...common, ...batched },
      ...{ peer: peer?.batched, peerName: 'llama.cpp in lockstep' },
    },
  ];
}

async function makeGroups(): Promise<Group[]> {
  const count = (REPETITIONS + 1) * TEXTS;
  const { queries } = await withFolder((folder) => readWordnet(folder, 500, Math.max(count, 30)));
  const questions = queries.map(({ text }) => text);
  return Array.from({ length: REPETITIONS + 1 }, (_none, at) => questions.slice(at * TEXTS, (at + 1) * TEXTS));
}

function request(id: string, question: string): GenerationRequest {
  const messages = PROMPTS.q2d.messages({ id, query: question });
  const sampling = { temperature: 1, topP: 0.9, topK: 0, maxTokens: TOKENS };
  return { id, messages, sampling, seed: deriveSeed(1, id) };
}

/** Returns the median rate over the groups; the first is a warm-up. Texts that end early count with their actual length. */
async function measure(
  generator: Generator,
  groups: readonly Group[],
  requestsOf: (group: Group, name: string) => GenerationRequest[],
): Promise<{ ours: number; note: string }> {
  const rates: number[] = [];
  let texts = 0;
  let whole = 0;
  for (const [at, group] of groups.entries()) {
    const started = performance.now();
    let tokens = 0;
    for await (const { completionTokens, finish } of generator.generate(requestsOf(group, `g${at}`))) {
      tokens += completionTokens;
      texts++;
      if (finish === 'length') whole++;
    }
    if (at > 0) rates.push(tokens / ((performance.now() - started) / 1000));
  }
  await generator.close();
  return { ours: median(rates), note: `${whole} of ${texts} texts of full length` };
}
