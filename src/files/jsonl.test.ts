import { execFileSync } from 'node:child_process';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { AbortedError, DataError, ResourceError } from '../system/index.ts';
import { describeIssues, readJsonl, writeJsonl } from './jsonl.ts';
import { readLines } from './lines.ts';

const schema = z.object({ id: z.string(), n: z.number().optional() });

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-jsonl-'));
  file = join(folder, 'rows.jsonl');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

async function read(content: string | Uint8Array): Promise<{ value: z.infer<typeof schema>; line: number }[]> {
  await writeFile(file, content);
  const rows = [];
  for await (const row of readJsonl(file, schema)) rows.push(row);
  return rows;
}

/** The error of reading this content. */
async function fault(content: string | Uint8Array): Promise<DataError> {
  const error = await read(content).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DataError);
  expect((error as DataError).fix).toMatch(/\.$/);
  expect((error as DataError).file).toBe(file);
  return error as DataError;
}

describe('readJsonl', () => {
  it('gives each record with its line and where it begins', async () => {
    expect(await read('{"id":"a"}\n{"id":"b","n":2}\n')).toEqual([
      { value: { id: 'a' }, line: 1, start: 0 },
      { value: { id: 'b', n: 2 }, line: 2, start: 11 },
    ]);
  });

  it('accepts a byte order mark, CR LF, blank lines and a last line without an end', async () => {
    const rows = await read('\ufeff{"id":"a"}\r\n\r\n  \n{"id":"b"}');
    expect(rows.map(({ value, line }) => [value.id, line])).toEqual([
      ['a', 1],
      ['b', 4],
    ]);
  });

  it('keeps line separators, emoji and CJK inside of strings', async () => {
    const id = 'x\u2028y\u2029 \u{1f600} 文書 \ufeff';
    expect((await read(`${JSON.stringify({ id })}\n`))[0]?.value.id).toBe(id);
  });

  it('reads gzip by its first bytes, also in several members', async () => {
    const rows = await read(Buffer.concat([gzipSync('{"id":"a"}\n{"id'), gzipSync('":"b"}\n')]));
    expect(rows.map(({ value }) => value.id)).toEqual(['a', 'b']);
  });

  it('cuts lines right at every boundary between chunks', async () => {
    const ids = Array.from({ length: 9000 }, (_, at) => 'é'.repeat(at % 97) + at);
    const rows = await read(ids.map((id) => `${JSON.stringify({ id })}\n`).join(''));
    expect(rows.map(({ value }) => value.id)).toEqual(ids);
    expect(rows.at(-1)?.line).toBe(9000);
  });

  it('reads an empty file as no record', async () => {
    expect(await read('')).toEqual([]);
  });

  it.each([
    ['broken JSON', '{"id":"a"}\n{"id":\n', 2, /not valid JSON/],
    ['two objects on a line', '{"id":"a"}{"id":"b"}\n', 1, /not valid JSON/],
    ['an array file', '[{"id":"a"}]\n', 1, /expected object/],
    ['a missing field', '{"id":"a"}\n{"n":1}\n', 2, /id: .*expected string/],
    ['a field of the wrong kind', '{"id":"a","n":"1"}\n', 1, /n: .*expected number/],
    ['NaN', '{"id":"a","n":NaN}\n', 1, /not valid JSON/],
    ['a line cut in half', '{"id":"a"}\n{"id":"b', 2, /not valid JSON/],
  ])('names file, line and reason for %s', async (_, content, line, reason) => {
    const error = await fault(content);
    expect(error.line).toBe(line);
    expect(error.message).toMatch(reason);
    expect(error.message).toContain(`${file}:${line}`);
  });

  it('refuses bytes that are not UTF-8, naming the line', async () => {
    const latin1 = Buffer.from('{"id":"a"}\n{"id":"caf\u00e9"}\n', 'latin1');
    expect(await fault(latin1)).toMatchObject({ line: 2, message: expect.stringContaining('not UTF-8') });
    expect((await fault(Buffer.from('\ufeff{"id":"a"}\n', 'utf16le'))).message).toContain('text in UTF-16');
  });

  it('gives the whole lines before a broken one', async () => {
    await writeFile(file, Buffer.concat([Buffer.from('{"id":"a"}\n{"id":"b"}\n'), Buffer.from([0xff, 0x0a])]));
    const ids: string[] = [];
    const reading = (async () => {
      for await (const { value } of readJsonl(file, schema)) ids.push(value.id);
    })();
    await expect(reading).rejects.toThrow(/rows\.jsonl:3: .*UTF-8/);
    expect(ids).toEqual(['a', 'b']);
  });

  it('refuses gzip that is cut or damaged', async () => {
    const whole = gzipSync(Array.from({ length: 5000 }, (_, at) => `{"id":"${at * 7919}"}\n`).join(''));
    expect((await fault(whole.subarray(0, whole.length - 200))).message).toContain('end too early');
    whole.fill(0xff, whole.length / 2, whole.length / 2 + 40);
    expect((await fault(whole)).message).toContain('broken');
  });

  it('names a missing file and a folder', async () => {
    const missing = join(folder, 'none.jsonl');
    await expect(readJsonl(missing, schema).next()).rejects.toThrow(DataError);
    await expect(readJsonl(missing, schema).next()).rejects.toThrow(/none\.jsonl: no such file/);
    await expect(readJsonl(folder, schema).next()).rejects.toThrow(/is a folder/);
  });

  it('refuses a line beyond the limit instead of holding it, also inside of gzip', async () => {
    for (const content of ['x'.repeat(3_000_000), gzipSync('x'.repeat(3_000_000))]) {
      await writeFile(file, content);
      const lines = readLines(file, { maxLineBytes: 1_000_000 });
      await expect(lines.next()).rejects.toThrow(/rows\.jsonl:1: the line is longer than 1000000 bytes/);
    }
  });

  it('stops when the signal fires', async () => {
    await writeFile(file, '{"id":"a"}\n'.repeat(200_000));
    const stop = new AbortController();
    const reading = (async () => {
      for await (const { line } of readJsonl(file, schema, stop.signal)) if (line === 10) stop.abort();
    })();
    await expect(reading).rejects.toThrow(AbortedError);
  });

  it('reads a large file in constant memory', async () => {
    const rows = 80_000;
    const handle = await open(file, 'w');
    const piece = `{"id":"${'some text '.repeat(100)}"}\n`.repeat(1000);
    for (let at = 0; at < rows / 1000; at++) await handle.write(piece);
    await handle.close();
    const script = `
      import { readJsonl } from ${JSON.stringify(resolve('dist/files/index.js'))};
      import { peakMemory } from ${JSON.stringify(resolve('dist/system/peak-memory.js'))};
      import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
      const before = peakMemory();
      let rows = 0;
      for await (const _ of readJsonl(${JSON.stringify(file)}, z.object({ id: z.string() }))) rows++;
      console.log(JSON.stringify({ rows, megabytes: (peakMemory() - before) / 2 ** 20 }));`;
    const printed = execFileSync(process.execPath, ['--max-old-space-size=24', '--input-type=module', '-e', script]);
    const { rows: read, megabytes } = JSON.parse(String(printed));
    expect(read).toBe(rows);
    expect((piece.length * rows) / 1000 / 2 ** 20).toBeGreaterThan(75);
    expect(megabytes).toBeLessThan(50);
  });
});

describe('writeJsonl', () => {
  it('writes one object a line, from iterables of both kinds', async () => {
    async function* records() {
      yield { id: 'a\nb' };
      yield { id: 'c' };
    }
    expect(await writeJsonl(file, records())).toBe(2);
    expect(await readFile(file, 'utf8')).toBe('{"id":"a\\nb"}\n{"id":"c"}\n');
    expect(await writeJsonl(file, [])).toBe(0);
    expect(await readFile(file, 'utf8')).toBe('');
  });

  it('makes the folder, and keeps order over many pieces', async () => {
    const nested = join(folder, 'a', 'b.jsonl');
    const ids = Array.from({ length: 50_000 }, (_, at) => `row ${at}`);
    await writeJsonl(
      nested,
      ids.map((id) => ({ id })),
    );
    const read = [];
    for await (const { value } of readJsonl(nested, schema)) read.push(value.id);
    expect(read).toEqual(ids);
  });

  it('leaves the old file as it was when the records break off', async () => {
    await writeFile(file, 'old');
    function* failing() {
      yield { id: 'a' };
      throw new Error('no more');
    }
    await expect(writeJsonl(file, failing())).rejects.toThrow('no more');
    expect(await readFile(file, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['rows.jsonl']);
  });

  it('reports a full disk and leaves nothing behind', async () => {
    const handle = await open(file, 'w');
    vi.spyOn(Object.getPrototypeOf(handle), 'writeFile').mockRejectedValue(
      Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }),
    );
    await handle.close();
    const error = await writeJsonl(file, [{ id: 'a' }]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ResourceError);
    expect((error as ResourceError).message).toContain('the disk is full');
    expect((error as ResourceError).fix).toContain('Free some space');
    expect(await readdir(folder)).toEqual(['rows.jsonl']);
  });
});

describe('records made to exhaust', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

  it.each([
    [
      'a deep record under a schema that follows it',
      z.json(),
      `${deep}\n`,
      /rows\.jsonl:1: the record is nested too deeply/,
    ],
    ['a deep record in a field', z.object({ a: z.json() }), `{"a":1}\n{"a":${deep}}\n`, /rows\.jsonl:2: .*deeply/],
  ])('%s is a fault of the data', async (_, wanted: z.ZodType, content, reason) => {
    await writeFile(file, content);
    const error = await Readable.from(readJsonl(file, wanted))
      .toArray()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).message).toMatch(reason);
  });

  it('keys of a record that name parts of every object change no other object', async () => {
    await writeFile(file, '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"id":"a"}\n');
    for await (const { value } of readJsonl(file, z.looseObject({ id: z.string() }))) expect(value.id).toBe('a');
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  it('a path with a NUL is a fault of the path', async () => {
    await expect(Readable.from(readJsonl('a\0b.jsonl', schema)).toArray()).rejects.toThrow(/the path holds a NUL/);
    await expect(writeJsonl(join(folder, 'a\0b'), [])).rejects.toThrow(/the path holds a NUL/);
  });
});

describe('describeIssues', () => {
  it('says in plain words what is missing and what was expected', () => {
    const { error } = z.object({ text: z.string(), rank: z.number() }).safeParse({ rank: 'first' });
    expect(describeIssues(error!)).toBe('text: is missing (expected string); rank: expected number, received string');
  });
});
