import { expect, test } from 'vitest';
import { cpuSeconds } from '../../../test/support/cpu-time.ts';
import { findStandIn, refuseStandIn } from './stand-in.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const LFS = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 90868376\n`;

test.each([
  [LFS, /Git LFS pointer/, /git lfs pull/],
  [LFS.replace('git-lfs.github.com', 'hawser.github.com'), /Git LFS pointer/, /./],
  ['/annex/objects/SHA256E-s123--abc.bin\n', /git-annex/, /git annex get/],
  ['../../.git/annex/objects/aa/bb/SHA256E-s1--c', /git-annex/, /./],
  ['<!DOCTYPE html><html><title>Sign in</title>', /web page/, /token/],
  ['\n  <html lang="en">', /web page/, /./],
  ['<!-- proxy --> <HTML>', /web page/, /./],
  ['<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', /web page/, /./],
  ['Entry not found', /"Entry not found"/, /revision/],
  ['404: Not Found', /404/, /./],
  ['404 page not found\n', /404/, /./],
  ['Not Found', /Not Found/, /./],
  ['Repository not found', /Repository/, /./],
  ['Access to model owner/name is restricted. You must be authenticated to access it.', /restricted/, /access/],
  ['Invalid credentials in Authorization header', /credentials/, /./],
  ['Invalid username or password.', /password/, /./],
  ['{"error":"Entry not found"}', /Entry not found/, /./],
  ['{"detail":"Not Found"}', /Not Found/, /./],
  ['{"message":"Bad credentials","status":"401","documentation_url":"x"}', /Bad credentials/, /./],
  ['{"error":{"message":"Invalid credentials","type":"auth"}}', /Invalid credentials/, /./],
  ['{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', /authentication required/, /./],
  ['502 Bad Gateway', /Bad Gateway/, /./],
])('%j is told', (text, reason, fix) => {
  const found = findStandIn(bytes(text));
  expect(found?.what).toMatch(reason);
  expect(found?.fix).toMatch(fix);
  expect(() => refuseStandIn(bytes(text), 'x.bin')).toThrow(/x\.bin: /);
});

test.each([
  [[0x1f, 0x8b, 0x08, 0, 1, 2], /gzip/, /gunzip/],
  [[0xff, 0xfe, 0x7b, 0, 0x22, 0], /UTF-16/, /UTF-8/],
  [[0xfe, 0xff, 0, 0x7b, 0, 0x22], /UTF-16/, /UTF-8/],
  [Array(64).fill(0), /zero bytes/, /again/],
])('bytes %j are told', (start, reason, fix) => {
  const found = findStandIn(Uint8Array.from(start as number[]));
  expect(found?.what).toMatch(reason);
  expect(found?.fix).toMatch(fix);
});

test.each([
  '',
  '\0\0\0',
  '\ufeff{}',
  '{}',
  '{"type":"BPE"}',
  '{"_id":"1","text":"Entry not found"}',
  '{"error":"x","model_type":"bert"}',
  '{"error":{"a":1}}',
  'query-id\tcorpus-id\tscore\n',
  'q1 Q0 not found 1 2.5 run',
  'the page was not found by the reader, who left',
  'version 3\n',
  'Forbidden City is a palace',
  'GGUF\x03\0\0\0',
  '<s> is a token',
  '[PAD]\n[UNK]\n',
])('%j is the file itself', (text) => {
  expect(findStandIn(bytes(text))).toBeUndefined();
});

test('nothing takes long', async () => {
  const long = [
    '<!--'.repeat(1000),
    ' '.repeat(4096),
    `access to ${'x'.repeat(4000)}`,
    `{"error":"${'x'.repeat(4000)}`,
  ];
  const seconds = await cpuSeconds(() => {
    for (const text of long) findStandIn(bytes(text));
  });
  expect(seconds).toBeLessThan(0.2);
});
