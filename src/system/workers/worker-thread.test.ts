import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { AbortedError, DataError, LlmQeError, ResourceError } from '../errors.ts';
import { endNativeWork, isNativeWorkUnderWay } from './native-work.ts';
import { workerFile } from './worker-file.ts';
import { WorkerThread } from './worker-thread.ts';

interface Request {
  kind: 'double' | 'typed' | 'odd' | 'untyped' | 'lowest' | 'crash' | 'exit' | 'until stopped' | 'for ever';
  numbers?: Float32Array;
}

/** Counters that a thread writes in shared memory: calls begun, and whether it ended in order. */
const BEGUN = 0;
const ENDED = 1;

const SERVICE = `
import { DataError, NetworkError } from ERRORS;
class OddError extends NetworkError {}
export const serve = (shared, stopped) => ({
  async answer({ kind, numbers }) {
    Atomics.add(shared, ${BEGUN}, 1);
    if (kind === 'typed') {
      throw new DataError('no number', { file: 'a.tsv', line: 3, fix: 'Give one.', cause: { clone: () => {} } });
    }
    if (kind === 'odd') throw new OddError('not heard', { fix: 'Ask again.' });
    if (kind === 'untyped') throw new RangeError('too long');
    if (kind === 'lowest') throw 7;
    if (kind === 'crash') setImmediate(() => { throw new TypeError('broken'); });
    if (kind === 'exit') process.exit();
    if (kind === 'crash') await new Promise(() => {});
    while (kind === 'for ever' || (kind === 'until stopped' && !stopped()));
    if (kind !== 'double') return { value: kind };
    for (const at of numbers.keys()) numbers[at] *= 2;
    return { value: numbers.slice(), transfer: [] };
  },
  async end() {
    Atomics.store(shared, ${ENDED}, 1);
  },
});`;

let folder: string;
const shared = new Int32Array(new SharedArrayBuffer(8));
const threads: WorkerThread<Request, unknown>[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'thread-'));
  const errors = pathToFileURL(workerFile(import.meta.url, '../errors.ts')).href;
  await writeFile(join(folder, 'service.mjs'), SERVICE.replace('ERRORS', JSON.stringify(errors)));
});
afterAll(async () => {
  await Promise.all(threads.map((thread) => thread.close()));
  await rm(folder, { recursive: true, force: true });
});

const fault = (cause: Error | undefined) => new ResourceError(`it ended: ${cause?.message}`, { fix: 'Again.', cause });

function start(options: { failure?: (thrown: Error) => Error; killable?: boolean } = {}) {
  shared.fill(0);
  const caller = pathToFileURL(join(folder, 'caller.js')).href;
  const thread = new WorkerThread<Request, unknown>(caller, './service.mjs', { data: shared, fault, ...options });
  threads.push(thread);
  return thread;
}

const begun = (count: number) => vi.waitFor(() => expect(shared[BEGUN]).toBe(count), { timeout: 100_000 });
const thrownBy = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: Error) => error,
  );
const numbers = () => Float32Array.of(1, 2, 3);

describe('a worker thread', () => {
  test('answers in order; transferred buffers are detached here', async () => {
    const thread = start();
    const [given, kept] = [numbers(), numbers()];
    const calls = [
      thread.call({ kind: 'double', numbers: given }, [given.buffer]),
      thread.call({ kind: 'double', numbers: kept }),
    ];
    expect(thread.open).toBe(2);
    expect(await Promise.all(calls)).toEqual([Float32Array.of(2, 4, 6), Float32Array.of(2, 4, 6)]);
    expect([given.length, kept.length, thread.open]).toEqual([0, 3, 0]);
  });

  test('returns lent buffers, even after a failure', async () => {
    const thread = start();
    for (const [kind, after] of [['double', [2, 4, 6]] as const, ['typed', [1, 2, 3]] as const]) {
      const request = { kind, numbers: numbers() };
      const call = thread.lend(request, request, [request.numbers.buffer]);
      expect(request.numbers.length).toBe(0);
      await call.catch(() => {});
      expect([...request.numbers]).toEqual(after);
    }
  });

  test('passes a typed error on with type, text and place, and continues', async () => {
    const thread = start();
    const error = await thrownBy(thread.call({ kind: 'typed' }));
    expect(error).toBeInstanceOf(DataError);
    expect(error).toMatchObject({ name: 'DataError', message: 'a.tsv:3: no number', line: 3, fix: 'Give one.' });
    const odd = await thrownBy(thread.call({ kind: 'odd' }));
    expect(odd).toMatchObject({ name: 'NetworkError', message: 'not heard' });
    expect(await thread.call({ kind: 'double', numbers: numbers() })).toHaveLength(3);
  });

  test('lets the caller convert untyped exceptions', async () => {
    const seen: Error[] = [];
    const failure = (thrown: Error) => {
      seen.push(thrown);
      return new DataError(thrown.message, { fix: 'Again.' });
    };
    const thread = start({ failure });
    for (const [kind, text] of [['untyped', 'too long'] as const, ['lowest', '7'] as const]) {
      expect(await thrownBy(thread.call({ kind }))).toMatchObject({ name: 'DataError', message: text });
    }
    expect(seen.map(({ name }) => name)).toEqual(['RangeError', 'Error']);
    expect(thread.ended).toBeUndefined();
    expect(await thrownBy(start().call({ kind: 'untyped' }))).toMatchObject({ message: 'it ended: too long' });
  });

  test('leaves nothing open if a request cannot be sent', async () => {
    const thread = start();
    const request = { kind: 'double', numbers: numbers(), odd: () => {} } as const;
    await expect(thread.call(request)).rejects.toThrow(/could not be cloned/);
    expect(thread.open).toBe(0);
    expect(await thread.call({ kind: 'double', numbers: numbers() })).toHaveLength(3);
  });
});

describe('a worker thread that dies', () => {
  test.each([
    ['crash', 'it ended: broken'],
    ['exit', 'it ended: undefined'],
  ] as const)('by %s rejects the open calls and all later ones', async (kind, message) => {
    const thread = start();
    const calls = [thread.call({ kind }), thread.call({ kind: 'double', numbers: numbers() })];
    const errors = await Promise.all(calls.map(thrownBy));
    expect(errors).toEqual([thread.ended, thread.ended]);
    expect(thread.ended).toMatchObject({ name: 'ResourceError', message });
    await expect(thread.call({ kind: 'typed' })).rejects.toBe(thread.ended);
    await thread.close();
  });

  test('before it is ready, gives the reason', async () => {
    const caller = pathToFileURL(join(folder, 'caller.js')).href;
    const thread = new WorkerThread<Request, unknown>(caller, './none.mjs', { data: undefined, fault });
    await expect(thread.call({ kind: 'typed' })).rejects.toThrow(/it ended: Cannot find module .*none\.mjs/);
  });
});

describe('closing a worker thread', () => {
  test('answers the current call, rejects the waiting ones, and ends in order', async () => {
    const thread = start();
    const atHand = thread.call({ kind: 'until stopped' });
    const waiting = thrownBy(thread.call({ kind: 'double', numbers: numbers() }));
    await begun(1);
    const closed = thread.close();
    expect(thread.close()).toBe(closed);
    await expect(thread.call({ kind: 'typed' })).rejects.toThrow(AbortedError);
    expect(await atHand).toBe('until stopped');
    expect(await waiting).toBeInstanceOf(AbortedError);
    await closed;
    expect([...shared]).toEqual([1, 1]);
  });

  test('with a reason rejects all open calls immediately, and still waits for the end', async () => {
    const thread = start();
    const reason = new LlmQeError('no more', { fix: 'Open it again.' });
    const calls = [thread.call({ kind: 'until stopped' }), thread.call({ kind: 'typed' })].map(thrownBy);
    await begun(1);
    const closed = thread.close(reason);
    expect(thread.open).toBe(0);
    expect(await Promise.all(calls)).toEqual([reason, reason]);
    await closed;
    expect([...shared]).toEqual([1, 1]);
  });

  test('in the middle of a call, if it may be killed', async () => {
    const thread = start({ killable: true });
    const call = thrownBy(thread.call({ kind: 'for ever' }));
    await begun(1);
    await thread.close();
    expect(await call).toBeInstanceOf(AbortedError);
    expect([...shared]).toEqual([1, 0]);
  });
});

test('is native work that ends in order with all other native work, unless it may be killed', async () => {
  const [thread, killable] = [start(), start({ killable: true })];
  const begun = Atomics.load(shared, BEGUN);
  const call = thread.call({ kind: 'until stopped' }).catch((error: unknown) => error);
  const other = killable.call({ kind: 'for ever' }).catch((error: unknown) => error);
  await vi.waitFor(() => expect(Atomics.load(shared, BEGUN)).toBe(begun + 2), { timeout: 100_000 });
  expect(isNativeWorkUnderWay()).toBe(true);
  await endNativeWork();
  expect(await call).toBe('until stopped');
  expect(isNativeWorkUnderWay()).toBe(false);
  await killable.close();
  expect(await other).toBeInstanceOf(Error);
});
