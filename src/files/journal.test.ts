import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { DataError, ResourceError } from '../system/index.ts';
import { Journal } from './journal.ts';

const schema = z.object({ n: z.number(), text: z.string().optional() });
type Row = z.infer<typeof schema>;

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-journal-'));
  file = join(folder, 'done.jsonl');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

async function recordsIn(path: string): Promise<Row[]> {
  const journal = await Journal.open(path, schema);
  await journal.close();
  return journal.records;
}

describe('Journal', () => {
  it('keeps what was appended, in the order of the calls', async () => {
    const journal = await Journal.open(file, schema);
    await Promise.all(Array.from({ length: 300 }, (_, n) => journal.append({ n, text: 'x'.repeat((n * 37) % 500) })));
    expect(journal.records.map(({ n }) => n)).toEqual(Array.from({ length: 300 }, (_, n) => n));
    await journal.close();
    expect(await recordsIn(file)).toEqual(journal.records);
    expect(await readdir(folder)).toEqual(['done.jsonl']);
  });

  it('continues after the existing records', async () => {
    for (let n = 0; n < 3; n++) {
      const journal = await Journal.open(file, schema);
      expect(journal.records).toHaveLength(n);
      await journal.append({ n });
      await journal.close();
    }
    expect(await readFile(file, 'utf8')).toBe('{"n":0}\n{"n":1}\n{"n":2}\n');
  });

  it('is on the disk once flush resolves, and is not flushed twice', async () => {
    const probe = await open(file, 'a');
    const synced = vi.spyOn(Object.getPrototypeOf(probe) as typeof probe, 'sync');
    await probe.close();
    const journal = await Journal.open(file, schema);
    await journal.append({ n: 1 });
    expect(synced).not.toHaveBeenCalled();
    await journal.flush();
    await journal.flush();
    expect(synced).toHaveBeenCalledTimes(1);
    await journal.close();
  });

  it('passes each line to the system before append resolves', async () => {
    const journal = await Journal.open(file, schema);
    await journal.append({ n: 1 });
    expect(await readFile(file, 'utf8')).toBe('{"n":1}\n');
    await journal.close();
  });

  it.each([
    ['half a record', '{"n":1}\n{"n":2'],
    ['a whole record without its line end (it could be the start of a longer one)', '{"n":1}\n{"n":2}'],
    ['zeros, as a power cut leaves them', '{"n":1}\n\0\0\0\0'],
    ['half a character', Buffer.concat([Buffer.from('{"n":1}\n{"n":2,"text":"'), Buffer.from('é').subarray(0, 1)])],
  ])('drops %s at the end', async (_, content) => {
    await writeFile(file, content);
    const journal = await Journal.open(file, schema);
    expect(journal.records).toEqual([{ n: 1 }]);
    expect(await readFile(file, 'utf8')).toBe('{"n":1}\n');
    await journal.append({ n: 3 });
    await journal.close();
    expect(await recordsIn(file)).toEqual([{ n: 1 }, { n: 3 }]);
  });

  it('drops a lone half line of a journal that had nothing else', async () => {
    await writeFile(file, '{"n"');
    expect(await recordsIn(file)).toEqual([]);
    expect(await readFile(file, 'utf8')).toBe('');
  });

  it.each([
    ['JSON', '{"n":1}\n{"n":\n{"n":3}\n', /done\.jsonl:2: not valid JSON/],
    ['kind', '{"n":1}\n{"n":"2"}\n', /done\.jsonl:2: n: /],
    ['UTF-8', Buffer.from([0x7b, 0xff, 0x7d, 0x0a]), /done\.jsonl:1: .*UTF-8/],
  ])(
    'refuses a broken line before the last (%s), leaves the file unchanged and releases the lock',
    async (_, content, reason) => {
      await writeFile(file, content);
      const error = await Journal.open(file, schema).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DataError);
      expect((error as DataError).message).toMatch(reason);
      expect(await readFile(file)).toEqual(Buffer.from(content));
      expect(await readdir(folder)).toEqual(['done.jsonl']);
    },
  );

  it('removes what a full disk left of a line, and continues when there is room again', async () => {
    const journal = await Journal.open(file, schema);
    await journal.append({ n: 1 });
    const handle = await open(file, 'r');
    const prototype = Object.getPrototypeOf(handle);
    await handle.close();
    const write = prototype.write;
    let calls = 0;
    vi.spyOn(prototype, 'write').mockImplementation(function (this: unknown, ...given: unknown[]) {
      const [bytes, offset, , position] = given as [Buffer, number, number, number];
      if (calls++ === 0) return write.call(this, bytes, offset, 5, position);
      return Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }));
    });
    const error = await journal.append({ n: 2, text: 'lost' }).catch((thrown: unknown) => thrown);
    vi.restoreAllMocks();
    expect(calls).toBe(2);
    expect(error).toBeInstanceOf(ResourceError);
    expect((error as ResourceError).message).toContain('disk is full');
    expect(await readFile(file, 'utf8')).toBe('{"n":1}\n');
    expect(journal.records).toEqual([{ n: 1 }]);
    await journal.append({ n: 3 });
    await journal.close();
    expect(await recordsIn(file)).toEqual([{ n: 1 }, { n: 3 }]);
  });

  it('refuses a second writer immediately, in this process or another', async () => {
    const journal = await Journal.open(file, schema);
    const error = await Journal.open(file, schema).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ResourceError);
    expect((error as ResourceError).fix).toContain(`${file}.lock`);
    await journal.append({ n: 1 });
    await journal.close();
    await writeFile(`${file}.lock`, `${process.ppid} ${hostname()}\n`);
    await expect(Journal.open(file, schema)).rejects.toThrow(/another command writes/);
    await writeFile(`${file}.lock`, '1 another-machine\n');
    await expect(Journal.open(file, schema)).rejects.toThrow(/process 1 on another-machine/);
  });

  it('takes over the lock of a process that has ended', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    await writeFile(`${file}.lock`, `${child.pid} ${hostname()}\n`);
    expect(await recordsIn(file)).toEqual([]);
    await writeFile(`${file}.lock`, `${process.pid} ${hostname()}\n`);
    expect(await recordsIn(file)).toEqual([]);
  });

  it('refuses an append after the end', async () => {
    const journal = await Journal.open(file, schema);
    await journal.close();
    await journal.close();
    await expect(journal.append({ n: 1 })).rejects.toThrow(ResourceError);
  });

  it('flushes to the disk every few seconds and on closing, and reports a flush that failed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const handle = await open(folder, 'r');
    const sync = vi.spyOn(Object.getPrototypeOf(handle), 'sync');
    await handle.close();
    const journal = await Journal.open(file, schema);
    sync.mockClear();
    vi.advanceTimersByTime(60_000);
    await journal.append({ n: 1 });
    expect(sync).toHaveBeenCalledTimes(0);
    vi.advanceTimersByTime(10_000);
    await journal.append({ n: 2 });
    expect(sync).toHaveBeenCalledTimes(1);
    sync.mockRejectedValueOnce(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }));
    vi.advanceTimersByTime(10_000);
    await expect(journal.append({ n: 3 })).rejects.toThrow(/disk is full/);
    await journal.append({ n: 3 });
    await journal.close();
    expect(sync).toHaveBeenCalledTimes(3);
    vi.useRealTimers();
    expect(await recordsIn(file)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  });

  describe('of groups', () => {
    const row = z.object({ key: z.string(), n: z.number() });
    const GROUPS = {
      keyOf: ({ key }: z.infer<typeof row>) => key,
      isWhole: (rows: readonly z.infer<typeof row>[]) => rows.length === 3,
    };

    async function groupsIn(path: string): Promise<[string, number][]> {
      const found: [string, number][] = [];
      const journal = await Journal.open(path, row, {
        ...GROUPS,
        onGroup: (rows, line) => found.push([rows.map(({ key, n }) => `${key}${n}`).join(' '), line]),
      });
      expect(journal.records).toEqual([]);
      await journal.close();
      return found;
    }

    async function write(keys: string[]): Promise<void> {
      const journal = await Journal.open(file, row, { ...GROUPS, onGroup: () => {} });
      await Promise.all(keys.map((key) => journal.appendAll([1, 2, 3].map((n) => ({ key, n })))));
      expect(journal.records).toEqual([]);
      await journal.close();
    }

    it('passes complete groups on', async () => {
      await write(['a', 'b']);
      await write(['c']);
      expect(await groupsIn(file)).toEqual([
        ['a1 a2 a3', 3],
        ['b1 b2 b3', 6],
        ['c1 c2 c3', 9],
      ]);
    });

    it('drops a last group wherever it was cut, and no other', async () => {
      await write(['a', 'b']);
      const whole = await readFile(file);
      for (let length = whole.length / 2; length < whole.length; length++) {
        await writeFile(file, whole.subarray(0, length));
        expect(await groupsIn(file)).toEqual([['a1 a2 a3', 3]]);
        expect(await readFile(file)).toEqual(whole.subarray(0, whole.length / 2));
      }
    });

    it('refuses a group that lacks records before another begins', async () => {
      await writeFile(file, '{"key":"a","n":1}\n{"key":"b","n":1}\n');
      const error = await groupsIn(file).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DataError);
      expect(error).toMatchObject({ line: 2, id: 'a' });
    });
  });

  it('reads a journal of many megabytes', async () => {
    const row = { n: 1, text: 'long '.repeat(100_000) };
    for (let n = 0; n < 5; n++) await appendFile(file, `${JSON.stringify({ ...row, n })}\n`);
    expect((await recordsIn(file)).map(({ n, text }) => [n, text?.length])).toEqual(
      [0, 1, 2, 3, 4].map((n) => [n, 500_000]),
    );
  });

  it('survives kill -9: every append that resolved is there, and the file is whole', async () => {
    const script = `
      import { Journal } from ${JSON.stringify(resolve('dist/files/index.js'))};
      import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
      const journal = await Journal.open(${JSON.stringify(file)}, z.object({ n: z.number(), text: z.string() }));
      for (let n = journal.records.length; ; n++) {
        await journal.append({ n, text: 'x'.repeat(n % 5000) });
        if (n % 50 === 0) process.stdout.write(n + '\\n');
      }`;
    let least = 0;
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
      let complaint = '';
      child.stderr.on('data', (text) => {
        complaint += text;
      });
      for await (const text of child.stdout) {
        const acknowledged = Number(String(text).trim().split('\n').at(-1));
        if (acknowledged < least + 100) continue;
        least = acknowledged;
        child.kill('SIGKILL');
      }
      expect(complaint).toBe('');
      expect(child.signalCode ?? (await once(child, 'exit'))[1]).toBe('SIGKILL');
      const whole = (await readFile(file, 'utf8')).split('\n').slice(0, -1);
      expect(whole.length).toBeGreaterThan(least);
      expect(whole.map((line) => JSON.parse(line).n)).toEqual(whole.map((_, n) => n));
    }
    const records = await recordsIn(file);
    expect(records.length).toBeGreaterThan(300);
  });
});
