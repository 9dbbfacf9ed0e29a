import { expect, it } from 'vitest';
import { startServer } from '../../test/support/local-server.ts';
import { DataError } from './errors.ts';
import { httpError, readText, request, TimeoutError, withRetries } from './network/http.ts';
import { asMessage, keepSecret, redact, redactData } from './network/redact.ts';
import { checkSecret } from './network/secrets.ts';

it('no message is longer than a screen, whatever it contains', () => {
  const long = 'null, '.repeat(1_000_000);
  const error = new DataError(long, { file: 'x.jsonl', fix: long });
  expect(error.message).toMatch(/^x\.jsonl: null, null, .*\.\.\. \(6,000,009 characters in all\)$/s);
  expect(error.message.length).toBeLessThan(2100);
  expect(error.fix.length).toBeLessThan(2100);
  expect(error.stack!.length).toBeLessThan(10_000);
  expect(asMessage('short')).toBe('short');
  // No half of a character is left at the cut.
  expect(asMessage('😀'.repeat(20), 5)).toBe('😀😀... (40 characters in all)');
});

it('secrets are hidden in messages, and the long ones in data', () => {
  keepSecret('open sesame!');
  keepSecret('tower');
  keepSecret('lantern');
  expect(redact('open sesame!, open%20sesame!, lantern, tower')).toBe('***, ***, ***, tower');
  expect(redactData('open sesame! says the lantern')).toBe('*** says the lantern');
  expect(new DataError('it said open sesame!', { fix: 'Forget lantern.' })).toMatchObject({
    message: 'it said ***',
    fix: 'Forget ***.',
  });
  keepSecret('ollama');
  expect(redact('http://ollama:11434')).toBe('http://ollama:11434');
  expect(checkSecret(' \n', 'KEY')).toBeUndefined();
});

it('a body has limits of time and size, and reading can be aborted', async () => {
  const server = await startServer((incoming, response) => {
    if (incoming.url === '/drip') {
      const timer = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(timer));
    } else response.end('x'.repeat(5000));
  });
  const read = async (path: string, options: object) => readText(await request(server.url + path), server.url, options);
  expect(await read('/large', { maxBytes: 5000 })).toHaveLength(5000);
  await expect(read('/large', { maxBytes: 4999 })).rejects.toThrow(/sent more than/);
  await expect(read('/drip', { seconds: 0.15 })).rejects.toThrow(TimeoutError);
  await expect(read('/drip', { signal: AbortSignal.timeout(100) })).rejects.toMatchObject({ name: 'AbortedError' });
  await server.close();
});

it('credentials of an address are sent as a header, and stay with their host', async () => {
  const other = await startServer((_request, response) => response.end('there'));
  const server = await startServer((_request, response) => response.writeHead(302, { location: other.url }).end());
  const address = `${server.url.replace('//', '//user:pass-word@')}/x`;
  expect(await readText(await request(address), address)).toBe('there');
  expect(server.requests[0]!.headers.authorization).toBe(`Basic ${Buffer.from('user:pass-word').toString('base64')}`);
  expect(other.requests[0]!.headers.authorization).toBeUndefined();
  await Promise.all([server.close(), other.close()]);
});

it('a wait that is too long ends a download with a message', async () => {
  const response = new Response('', { status: 429, headers: { 'retry-after': '3600' } });
  const work = () => Promise.reject(httpError('http://host/x', response));
  await expect(withRetries(work, { retries: 3 })).rejects.toThrow(/requests a wait of 3600 s/);
});
