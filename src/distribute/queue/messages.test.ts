import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { GenerationRequest } from '../../generate/index.ts';
import { redact } from '../../system/index.ts';
import { fromSent, taskSchema, toSent } from './messages.ts';
import { pack, unpack } from './payload.ts';
import { parseQueueAddress } from './queue-address.ts';

const SAMPLING = { temperature: 1, topP: 0.9, topK: 0, maxTokens: 16 };

describe('a job', () => {
  it('carries requests whose documents can still be cut', () => {
    const messagesWith = (text: string) => [{ role: 'user' as const, content: `read "${text}" twice: ${text}` }];
    const text = 'a $& document \u0000 \ud83d';
    const request: GenerationRequest = {
      ...{ id: 'q/0', messages: messagesWith(text), sampling: SAMPLING, seed: 7 },
      cuttable: { text, messagesWith },
    };
    const task = unpack(pack({ kind: 'texts', requests: [toSent(request)] }), taskSchema, 'a job');
    const [arrived] = task.kind === 'texts' ? task.requests.map(fromSent) : [];
    expect(arrived).toMatchObject({ id: 'q/0', messages: request.messages, sampling: SAMPLING, seed: 7 });
    expect(arrived!.cuttable!.text).toBe(text);
    expect(arrived!.cuttable!.messagesWith('$& cut')).toEqual(messagesWith('$& cut'));
  });

  it('is refused if it is something else, too large, or damaged', () => {
    const read = (packed: unknown) => () => unpack(packed, taskSchema, 'a job');
    expect(read(pack({ kind: 'shell', command: 'ls' }))).toThrow(
      /a job is damaged, too large, or not what it should be/,
    );
    expect(read(pack({ kind: 'texts', requests: [] }))).toThrow(/a job is damaged/);
    expect(read({ kind: 'identity' })).toThrow(/a job is damaged/);
    expect(read('no gzip')).toThrow(/a job is damaged/);
    // Some kilobytes that become more than 64 megabytes.
    const bomb = gzipSync(Buffer.alloc(65 << 20, 0x20), { level: 1 }).toString('base64');
    expect(() => unpack(bomb, z.unknown(), 'a job')).toThrow(/a job is damaged/);
  });
});

describe('the address of a queue', () => {
  it('shows neither user nor password, in messages as well', () => {
    const { url, shown } = parseQueueAddress(' rediss://me:pass%2Fword9@host:6380/2 ');
    expect([url, shown]).toEqual(['rediss://me:pass%2Fword9@host:6380/2', 'rediss://***@host:6380/2']);
    expect(redact('WRONGPASS pass/word9')).toBe('WRONGPASS ***');
    expect(parseQueueAddress('redis://host:6379/').shown).toBe('redis://host:6379');
    expect(parseQueueAddress('postgres://me@host/queues?sslmode=require')).toMatchObject({
      ...{ shown: 'postgres://***@host/queues', isPostgres: true },
    });
  });

  it('must be one of Redis or PostgreSQL', () => {
    for (const text of ['http://host', 'redis:', 'redis://', 'host:6379', 'postgres:', 'mysql://host'])
      expect(() => parseQueueAddress(text)).toThrow(/not an address of Redis or PostgreSQL/);
  });
});
