import { afterEach, expect, test } from 'vitest';
import { ChatServer } from '../../test/support/chat-server.ts';
import { FiveEncoder, fiveDocuments } from '../../test/support/five-documents.ts';
import { GATE_DATA } from '../../test/support/small-gate.ts';
import { Gate, type GateData } from '../gate/index.ts';
import { connectGenerator } from '../generate/index.ts';
import type { CorpusSearch } from '../retrieve/index.ts';
import { UsageError } from '../system/index.ts';
import { createExpander } from './expander.ts';
import type { ExpanderOptions } from './expander-options.ts';
import { compareGate } from './query-gate.ts';

const openSearch = await fiveDocuments();
const closing: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close();
});

/** An LLM that always writes the same, and an encoder that knows some words. */
async function open(text: string, data: Partial<GateData> = {}, options: Partial<ExpanderOptions> = {}) {
  const server = await ChatServer.start(() => ({ status: 200, body: { choices: [{ message: { content: text } }] } }));
  closing.push({ close: () => server.stop() });
  const generator = await connectGenerator({ baseUrls: [server.baseUrl], retries: 0 });
  const gate = new Gate({ ...GATE_DATA, ...data });
  const encoder = new FiveEncoder();
  const expander = createExpander({ encoder, generator, gate, store: false, budgetMs: 5000, ...options });
  closing.push(expander);
  return { server, encoder, expander };
}

/** Expands if a raw hit scores more than 10. */
const BY_SCORE: Partial<GateData> = {
  before: {
    ...GATE_DATA.before,
    features: [{ name: 'firstScore', definition: 'its score', mean: 10, deviation: 1, coefficient: 1 }],
  },
};

test('a query that the gate declines asks no LLM, and is embedded as it is', async () => {
  const { server, expander } = await open('ship');
  const found = await expander.embedQuery('saw saw ship ship sea sea');
  expect(found).toMatchObject({ state: 'skipped', reason: 'gate', alpha: 0, tokens: 0 });
  expect(found.gate!.probability).toBeLessThan(0.6);
  expect(found.gate!.reason).toMatch(/below 0\.60/);
  expect([...found.vector]).toEqual([2, 2]);
  expect(server.calls).toEqual([]);
});

test('the gate weighs the text in place of alpha', async () => {
  const { expander, encoder } = await open('saw', {}, { alpha: 0.9 });
  expect(await expander.embedQuery('saw')).toMatchObject({ state: 'generated', alpha: 0.5, gate: { probability: 1 } });
  // The vectors that the gate looks at are those that are combined.
  expect(encoder.calls).toEqual([['query', 'saw']]);
  const half = { ...GATE_DATA.policy, highest: 0.25 };
  const cautious = await open('saw', { policy: half });
  expect(await cautious.expander.expand('saw')).toMatchObject({ state: 'generated', alpha: 0.25 });
});

test('a text that the gate does not trust is shown, and has no weight', async () => {
  const { expander } = await open('ship');
  const found = await expander.embedQuery('saw');
  expect(found).toMatchObject({ state: 'skipped', reason: 'gate, once written', alpha: 0, texts: ['ship'] });
  expect([...found.vector]).toEqual([1, 0]);
});

test('with a search, the gate reads its hits; without, or when it fails, what it does not know has no influence', async () => {
  const { expander } = await open('saw', BY_SCORE);
  // The best document of "saw" scores 12, that of "ship" 15 by the vector (0, 3), that of "sea" 0.
  const firstPass = openSearch();
  expect(await expander.expand('saw', { firstPass })).toMatchObject({ state: 'generated' });
  expect(await expander.expand('sea', { firstPass })).toMatchObject({ state: 'skipped', reason: 'gate' });
  expect(expander.gateFailures).toBe(0);
  // Even odds are too few.
  expect(await expander.expand('saw')).toMatchObject({ state: 'skipped', gate: { probability: 0.5 } });
  const broken = { plainRetriever: () => Promise.reject(new Error('the disk is gone')) } as unknown as CorpusSearch;
  expect(await expander.expand('saw', { firstPass: broken })).toMatchObject({ state: 'skipped', reason: 'gate' });
  expect(expander.gateFailures).toBe(1);
});

test('a caller that leaves while the gate reads is no failure of the gate', async () => {
  const { expander } = await open('saw', BY_SCORE);
  const leaves = new AbortController();
  const slow = {
    plainRetriever: () => {
      leaves.abort();
      return Promise.reject(new Error('ended'));
    },
  } as unknown as CorpusSearch;
  await expect(expander.expand('saw', { firstPass: slow, signal: leaves.signal })).rejects.toThrow();
  expect(expander.gateFailures).toBe(0);
});

test('the rules are the gate’s, a blank query is left alone, and own expansions are not its matter', async () => {
  const { expander, server } = await open('saw');
  expect(await expander.expand('  ')).toMatchObject({ state: 'skipped', reason: 'blank' });
  const given = await expander.expand('saw saw ship ship sea sea', { expansions: ['ship'] });
  expect(given).toMatchObject({ state: 'given', alpha: 0.5 });
  expect(given.gate).toBeUndefined();
  expect(server.calls).toEqual([]);
});

test('a gate of another search is refused, or told', async () => {
  const other = new Gate({ ...GATE_DATA, madeFor: { ...GATE_DATA.madeFor, retriever: 'bm25' } });
  expect(() => createExpander({ encoder: new FiveEncoder(), gate: other })).toThrow(UsageError);
  await expect(compareGate(other, new FiveEncoder(), [])).rejects.toThrow(/queries are served as vectors/);
  const gate = new Gate(GATE_DATA);
  expect(await compareGate(gate, new FiveEncoder(), [])).toEqual([]);
  const another = Object.assign(new FiveEncoder(), { fingerprint: 'five-2' });
  expect(await compareGate(gate, another, [])).toEqual([
    'the gate was trained with another encoder (five): its choices may be poor',
  ]);
  const warnings = await compareGate(gate, new FiveEncoder(), [openSearch({ similarity: 'cosine' }), openSearch()]);
  expect(warnings.join('\n')).toContain('similarity: dot, now cosine');
});
