import { expect, it } from 'vitest';
import type { Encoder } from '../embed/index.ts';
import { rememberingEncoder } from './remembering-encoder.ts';

function counting() {
  const asked: string[] = [];
  const state = { calls: 0, closed: false };
  const encoder: Encoder = {
    ...{ id: 'e', fingerprint: 'f', dimensions: 2, settings: {} },
    async encode(texts) {
      state.calls++;
      asked.push(...texts);
      return Float32Array.from(texts.flatMap((text) => [text.length, text.charCodeAt(0)]));
    },
    async close() {
      state.closed = true;
    },
  };
  return { asked, encoder, state };
}

it('each text is embedded once, and lists come back as they were asked for', async () => {
  const { asked, encoder } = counting();
  const remembering = rememberingEncoder(encoder);
  expect([...(await remembering.encode(['b', 'aa', 'b'], 'query'))]).toEqual([1, 98, 2, 97, 1, 98]);
  expect([...(await remembering.encode(['aa', 'ccc'], 'query'))]).toEqual([2, 97, 3, 99]);
  expect(asked).toEqual(['b', 'aa', 'ccc']);
});

it('the oldest are forgotten, and a list larger than the memory comes back whole', async () => {
  const { asked, encoder } = counting();
  const remembering = rememberingEncoder(encoder, 3 * 22);
  const letters = ['a', 'b', 'c', 'd', 'e'];
  expect([...(await remembering.encode(letters, 'query'))].filter((_value, at) => at % 2 === 1)).toEqual([
    97, 98, 99, 100, 101,
  ]);
  await remembering.encode(['c', 'd', 'e'], 'query');
  expect(asked).toEqual(letters);
  await remembering.encode(['b'], 'query');
  expect(asked).toEqual([...letters, 'b']);
});

it('documents are not remembered', async () => {
  const { asked, encoder } = counting();
  const remembering = rememberingEncoder(encoder);
  await remembering.encode(['a'], 'document');
  await remembering.encode(['a'], 'document');
  expect(asked).toEqual(['a', 'a']);
});

it('nothing that is known is embedded again, and the encoder is closed with it', async () => {
  const { encoder, state } = counting();
  const remembering = rememberingEncoder(encoder);
  await remembering.encode(['a'], 'query');
  await remembering.encode(['a', 'a'], 'query');
  expect(state).toEqual({ calls: 1, closed: false });
  await remembering.close();
  expect(state.closed).toBe(true);
});

it('a vector that another call drops meanwhile is not lost, and tokens are told of known texts, too', async () => {
  let go = (): void => {};
  const waits = new Promise<void>((resolve) => {
    go = resolve;
  });
  const encoder: Encoder = {
    ...{ id: 'e', fingerprint: 'f', dimensions: 1, settings: {} },
    async encode(texts, _role, options) {
      texts.forEach((text, row) => {
        options?.onTokens?.(row, text.length);
      });
      if (texts.includes('slow')) await waits;
      return Float32Array.from(texts, (text) => text.length);
    },
    async close() {},
  };
  const remembering = rememberingEncoder(encoder, 4);
  await remembering.encode(['a'], 'query');
  const tokens: number[][] = [];
  const slow = remembering.encode(['a', 'slow', 'a'], 'query', { onTokens: (row, count) => tokens.push([row, count]) });
  await remembering.encode(['bb'], 'query');
  go();
  expect([...(await slow)]).toEqual([1, 4, 1]);
  expect(tokens).toEqual([
    [0, 1],
    [1, 4],
    [2, 1],
  ]);
});

it('what is used stays, and long texts count', async () => {
  const { asked, encoder } = counting();
  const remembering = rememberingEncoder(encoder, 100);
  await remembering.encode(['a', 'b', 'c'], 'query');
  expect([...remembering.recall(['a', 'a'], 'query')!]).toEqual([1, 97, 1, 97]);
  expect(remembering.recall(['a', 'x'], 'query')).toBeUndefined();
  expect(remembering.recall(['a'], 'document')).toBeUndefined();
  await remembering.encode(['d', 'e'], 'query');
  expect(remembering.recall(['a'], 'query')).toBeDefined();
  expect(remembering.recall(['b'], 'query')).toBeUndefined();
  await remembering.encode(['x'.repeat(100)], 'query');
  expect(remembering.recall(['x'.repeat(100)], 'query')).toBeUndefined();
  expect(asked.slice(0, 5)).toEqual(['a', 'b', 'c', 'd', 'e']);
});
