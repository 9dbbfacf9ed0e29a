import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Document } from '../data/index.ts';
import { encodeCorpus } from './encode-corpus.ts';
import type { Encoder } from './encoder.ts';

/**
 * Processes that encode with one encoder at the same time. A process tells each batch that its encoder begins, and waits there for a line on
 * its standard input, so that the test decides who goes on when.
 */
const SCRIPT = `
  import { createInterface } from 'node:readline';
  const { encodeCorpus } = await import(${JSON.stringify(resolve('dist/embed/index.js'))});
  const [folder, first, end] = [process.argv[1], Number(process.argv[2]), Number(process.argv[3])];
  const lines = createInterface(process.stdin)[Symbol.asyncIterator]();
  const vectorOf = (text) => [text.length, Number(text.slice(5)), 0.5];
  const encoder = {
    id: 'slow', fingerprint: 'slow', dimensions: 3, settings: {}, batchesAtOnce: 1,
    async encode(texts) {
      console.log(texts.join(','));
      await lines.next();
      return Float32Array.from(texts.flatMap(vectorOf));
    },
    async close() {},
  };
  async function* documents() {
    for (let number = first; number < end; number++) yield { id: 'd' + number, title: '', text: 'text ' + number };
  }
  await encodeCorpus(encoder, documents(), { folder, corpusHash: first + ' to ' + end, batchRows: 4 });
  console.log('whole');
  process.exit(0);
`;

let folder: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-encoders-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** Starts a process that encodes the texts from one number up to, not including, another. */
function start(first: number, end: number) {
  const words = ['--input-type=module', '-e', SCRIPT, folder, `${first}`, `${end}`];
  const child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => (await lines.next()).value;
  return {
    next,
    /** Lets the encoder return, and waits for what it is given then. */
    go: () => {
      child.stdin.write('go\n');
      return next();
    },
    async finish() {
      let batches = 0;
      for (let line = await this.go(); line !== 'whole'; line = await this.go()) batches++;
      return batches;
    },
    async kill() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

class LoneEncoder implements Encoder {
  readonly id = 'slow';
  readonly fingerprint = 'slow';
  readonly dimensions = 3;
  readonly settings = {};
  texts = 0;
  async encode(texts: readonly string[]): Promise<Float32Array> {
    this.texts += texts.length;
    return Float32Array.from(texts.flatMap((text) => [text.length, Number(text.slice(5)), 0.5]));
  }
  async close(): Promise<void> {}
}

/** Encodes in this process, and returns ids, vectors, and how many texts were encoded. */
async function encodeHere(first: number, end: number, place = folder) {
  const encoder = new LoneEncoder();
  async function* documents(): AsyncGenerator<Document> {
    for (let number = first; number < end; number++) yield { id: `d${number}`, title: '', text: `text ${number}` };
  }
  const file = await encodeCorpus(encoder, documents(), { folder: place, corpusHash: `${first} to ${end}` });
  return { ids: file.ids, vectors: [...(await file.read(0, file.rows))], encoded: encoder.texts };
}

async function expectAsAlone(first: number, end: number, encoded: number): Promise<void> {
  const alone = await encodeHere(first, end, join(folder, `alone-${first}`));
  expect(await encodeHere(first, end)).toEqual({ ...alone, encoded });
}

describe('two processes with one encoder', () => {
  it('encode other corpora at the same time: none waits, and each uses what the other has stored', async () => {
    const [one, other] = [start(0, 12), start(8, 20)];
    expect(await one.next()).toBe('text 0,text 1,text 2,text 3');
    // The second is at work while the first is in the middle of a batch.
    expect(await other.next()).toBe('text 8,text 9,text 10,text 11');
    expect(await other.go()).toBe('text 12,text 13,text 14,text 15');
    expect(await one.go()).toBe('text 4,text 5,text 6,text 7');
    // Texts 8 to 11 are there already.
    expect(await one.go()).toBe('whole');
    expect(await other.finish()).toBe(1);
    await expectAsAlone(0, 12, 0);
    await expectAsAlone(8, 20, 0);
  });

  it('may encode the same text at the same time: it is stored once', async () => {
    const [one, other] = [start(0, 8), start(0, 12)];
    for (const process of [one, other]) expect(await process.next()).toBe('text 0,text 1,text 2,text 3');
    for (const process of [one, other]) expect(await process.go()).toBe('text 4,text 5,text 6,text 7');
    expect(await one.finish()).toBe(0);
    expect(await other.finish()).toBe(1);
    await expectAsAlone(0, 8, 0);
    await expectAsAlone(0, 12, 0);
  });

  it('go on when one of them is killed: what it had stored is kept, and the rest is made again', async () => {
    const [killed, other] = [start(0, 16), start(8, 24)];
    await Promise.all([killed.next(), other.next()]);
    expect(await killed.go()).toBe('text 4,text 5,text 6,text 7');
    await killed.kill();
    expect(await other.finish()).toBe(3);
    // Stored: 0 to 3 by the killed one, 8 to 23 by the other.
    await expectAsAlone(0, 16, 4);
    await expectAsAlone(8, 24, 0);
  });
});
