import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { redact, UsageError } from '../system/index.ts';
import { isServerAddress, parseServerAddress, serverAddressSchema, serverOrNameSchema } from './address.ts';

describe('parseServerAddress', () => {
  it.each([
    ['http://host:8000', 'http://host:8000/v1/models'],
    ['http://host:8000/', 'http://host:8000/v1/models'],
    ['http://host:8000/v1', 'http://host:8000/v1/models'],
    ['https://host/openai/v1//', 'https://host/openai/v1/models'],
    ['https://host/api', 'https://host/api/models'],
    ['HTTP://LocalHost:8000/V1', 'http://localhost:8000/V1/models'],
    [' http://host/v1\n', 'http://host/v1/models'],
    ['http://host/v1/chat/completions', 'http://host/v1/models'],
    ['http://host/v1/embeddings/', 'http://host/v1/models'],
    ['http://host/v1?api-version=2024', 'http://host/v1/models?api-version=2024'],
    ['http://host?api-version=2024&a=b', 'http://host/v1/models?api-version=2024&a=b'],
    ['http://host/v1#part', 'http://host/v1/models'],
    ['http://[::1]:8000', 'http://[::1]:8000/v1/models'],
    ['http://host:80/v1', 'http://host/v1/models'],
  ])('%j is called at %s', (address, url) => {
    expect(parseServerAddress(address).at('/models')).toBe(url);
  });

  it.each([
    ['host:8000', /lacks http:\/\//],
    ['localhost:8000/v1', /lacks http:\/\//],
    ['127.0.0.1:8000', /lacks http:\/\//],
    ['ftp://host/v1', /begins with ftp:/],
    ['htp://host', /begins with htp:/],
    ['http://', /is not the address/],
    ['http:/host', /is not the address/],
    ['http://ho st/v1', /is not the address/],
    ['http://host:99999', /is not the address/],
    ['', /is not the address/],
  ])('%j is refused', (address, reason) => {
    expect(() => parseServerAddress(address)).toThrow(reason);
    expect(() => parseServerAddress(address)).toThrow(UsageError);
  });
});

describe('what is secret in an address', () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  it.each([
    ['http://user:sesame-1@host/v1', 'http://***@host/v1', basic('user:sesame-1'), 'http://host/v1'],
    ['http://user:p%40ss%2Fword@host', 'http://***@host/v1', basic('user:p@ss/word'), 'http://host/v1'],
    ['http://token-alone@host', 'http://***@host/v1', basic('token-alone:'), 'http://host/v1'],
    ['http://host/v1?api-key=abcdefgh', 'http://host/v1?api-key=***', undefined, 'http://host/v1?api-key=abcdefgh'],
    ['http://host/v1?v=2&KEY=abcdefgh', 'http://host/v1?v=2&KEY=***', undefined, 'http://host/v1?v=2&KEY=abcdefgh'],
    [
      'http://host/v1?x_token=a&sig=b',
      'http://host/v1?x_token=***&sig=***',
      undefined,
      'http://host/v1?x_token=a&sig=b',
    ],
  ])('%s is shown as %s, and sent', (address, shown, authorization, url) => {
    const parsed = parseServerAddress(address);
    expect(parsed).toMatchObject({ shown, authorization });
    expect(parsed.at('')).toBe(url);
    // Settings hold the shown form. Opening the server needs the secret part, which this process remembers.
    const again = parseServerAddress(shown);
    expect(again.authorization).toBe(authorization);
    expect(again.at('')).toBe(url);
  });

  it('is unknown for an address that was not typed in this process', () => {
    expect(() => parseServerAddress('http://***@elsewhere/v1')).toThrow(/in place of a secret/);
    expect(parseServerAddress('http://host/v1').authorization).toBeUndefined();
  });

  it('is hidden in messages from then on', () => {
    parseServerAddress('http://user:open-sesame@host/v1?key=another-secret');
    const said = `no open-sesame, no another-secret, no ${Buffer.from('user:open-sesame').toString('base64')}`;
    expect(redact(said)).toBe('no ***, no ***, no ***');
    expect(redact('see https://a:b@host/x?api_key=c&v=1')).toBe('see https://***@host/x?api_key=***&v=1');
  });
});

it.each([
  ['http://host', true],
  ['HTTPS://host', true],
  ['ws://host', true],
  ['localhost:8000', true],
  ['10.0.0.7:8000/v1', true],
  ['all-minilm-l6-v2', false],
  ['hf:owner/name', false],
  ['hf:owner/name@refs/pr/1', false],
  ['llama3:8b', false],
  ['./folder/model.gguf', false],
  ['C:\\models\\a.gguf', false],
])('%s counts as a server: %s', (name, isServer) => {
  expect(isServerAddress(name)).toBe(isServer);
});

it('settings hold addresses without secrets, and names as they are', () => {
  expect(serverAddressSchema.parse('http://u:pass-word@host')).toBe('http://***@host/v1');
  expect(serverOrNameSchema.parse('all-minilm-l6-v2')).toBe('all-minilm-l6-v2');
  expect(z.array(serverOrNameSchema).safeParse(['ftp://host']).error!.issues[0]!.message).toMatch(/ftp:.*Write it as/);
});
