import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, request as forward, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CandidateRecord, candidateIdOf, candidateSchema, type TrainingQuery } from '../data/index.ts';
import { readJsonl } from '../files/index.ts';
import { DEFAULT_GENERATOR, ModelStore } from '../models/index.ts';
import { parseServerAddress } from '../servers/index.ts';
import { AbortedError } from '../system/index.ts';
import type { Generation, GenerationRequest } from './generator.ts';
import { loadGenerator } from './llama/llama-generator.ts';
import { PROMPTS } from './prompts.ts';
import { connectGenerator } from './server-generator.ts';
import { type CandidateOptions, sampleCandidates } from './writing/candidates.ts';

/** Comma-separated addresses of servers that all run the default generator. */
const SERVERS = (process.env.LLM_QE_SERVERS ?? '').split(',').filter((address) => address.trim() !== '');

const QUERIES: TrainingQuery[] = ['lagoon', 'hacksaw'].map((word) => ({
  ...{ id: word, text: `What is a ${word}?`, documents: [`d-${word}`] },
}));
const IDS = QUERIES.flatMap(({ id }) => [0, 1, 2, 3].map((index) => candidateIdOf(id, index)));

/** A proxy in front of a server that counts the calls for texts. */
class Gate {
  calls = 0;
  readonly #server: Server;

  private constructor(address: string) {
    const { hostname, port } = new URL(parseServerAddress(address).at(''));
    this.#server = createServer((request, response) => {
      if (request.url === '/v1/chat/completions') this.calls++;
      const { url: path, method, headers } = request;
      const passed = forward({ hostname, port, path, method, headers }, (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      });
      passed.on('error', () => response.destroy());
      response.on('close', () => passed.destroy());
      request.pipe(passed);
    });
  }

  static async open(address: string): Promise<Gate> {
    const gate = new Gate(address);
    await new Promise<void>((resolve) => gate.#server.listen(0, '127.0.0.1', resolve));
    return gate;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe.runIf(SERVERS.length >= 2)('real servers (needs LLM_QE_SERVERS, two addresses)', () => {
  let folder: string;
  let gates: Gate[];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'real-servers-'));
    gates = await Promise.all(SERVERS.slice(0, 2).map((address) => Gate.open(address)));
  });
  afterAll(async () => {
    await Promise.all(gates.map((gate) => gate.close()));
    await rm(folder, { recursive: true });
  });

  const connect = (count: number) =>
    connectGenerator({ baseUrls: gates.slice(0, count).map(({ baseUrl }) => baseUrl), concurrency: 4 });

  async function sample(servers: number, name: string, options: Partial<CandidateOptions> = {}) {
    for (const gate of gates) gate.calls = 0;
    const out = join(folder, name);
    const result = await sampleCandidates({
      ...{ queries: () => QUERIES, generator: await connect(servers), prompt: PROMPTS.q2d, out },
      ...{ temperatures: [0.8, 1], samples: 2, sampling: { maxTokens: 8 } },
      ...options,
    });
    const records: CandidateRecord[] = [];
    for await (const { value } of readJsonl(out, candidateSchema)) records.push(value);
    return { result, records };
  }

  it("apply their model's chat template: their prompts have as many tokens as ours", async () => {
    const sampling = { temperature: 0, topP: 1, topK: 0, maxTokens: 1 };
    const requests: GenerationRequest[] = QUERIES.map(({ id, text }) => ({
      ...{ id, messages: PROMPTS.q2d.messages({ id, query: text }), sampling, seed: 1 },
    }));
    const promptTokens = async (generations: AsyncIterable<Generation>) => {
      const counts = new Map<string, number>();
      for await (const generation of generations) counts.set(generation.id, generation.promptTokens);
      return QUERIES.map(({ id }) => counts.get(id));
    };
    const model = await new ModelStore().resolve(DEFAULT_GENERATOR, { kind: 'generator' });
    const local = await loadGenerator(model, { contextSize: 256, sequences: 1, quickWeights: false });
    const ours = await promptTokens(local.generate(requests));
    await local.close();
    expect(await promptTokens((await connect(2)).generate(requests))).toEqual(ours);
  });

  it('return all samples, whether one server writes them or two share them', async () => {
    const one = await sample(1, 'one.jsonl');
    expect(gates.map(({ calls }) => calls)).toEqual([IDS.length, 0]);
    const two = await sample(2, 'two.jsonl');
    for (const { calls } of gates) expect(calls).toBeGreaterThan(1);
    expect(gates[0]!.calls + gates[1]!.calls).toBe(IDS.length);
    for (const { result, records } of [one, two]) {
      expect(result).toMatchObject({ queries: QUERIES.length, candidates: IDS.length, empty: 0 });
      expect(records.map(({ candidateId }) => candidateId)).toEqual(IDS);
      expect(new Set(records.map(({ text }) => text)).size).toBeGreaterThan(IDS.length / 2);
      for (const { text, tokens } of records) {
        expect(text).not.toMatch(/<\|/);
        expect(tokens).toBeGreaterThan(0);
        expect(tokens).toBeLessThanOrEqual(8);
      }
    }
    const words = two.records.map(({ text }) => text).join(' ');
    expect(words).toMatch(/lagoon|water|saw|cut/i);
  });

  it('are not asked again for texts that were written before an abort', async () => {
    const stop = new AbortController();
    let finished = 0;
    const advance = () => {
      if (++finished === 3) stop.abort();
    };
    const progress = { task: () => ({ advance, skip() {}, note() {}, done() {} }) };
    const stopped = sample(2, 'cut.jsonl', { signal: stop.signal, progress });
    await expect(stopped).rejects.toBeInstanceOf(AbortedError);
    const journal = (await readFile(join(folder, 'cut.jsonl.journal'), 'utf8')).trimEnd().split('\n');
    const kept: { queryId: string; place: number; text: string }[] = journal.map((line) => JSON.parse(line));
    expect(kept.length).toBeGreaterThanOrEqual(3);
    expect(kept.length).toBeLessThan(IDS.length);
    const { records } = await sample(2, 'cut.jsonl');
    expect(records.map(({ candidateId }) => candidateId)).toEqual(IDS);
    expect(gates[0]!.calls + gates[1]!.calls).toBe(IDS.length - kept.length);
    const texts = new Map(records.map(({ candidateId, text }) => [candidateId, text]));
    for (const { queryId, place, text } of kept) {
      const written = texts.get(candidateIdOf(queryId, place))!;
      expect(written).not.toBe('');
      expect(text.endsWith(written)).toBe(true);
    }
  });
});
