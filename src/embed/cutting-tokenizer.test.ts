import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../test/support/cpu-time.ts';
import { loadTokenizer, type TextTokenizer } from '../models/index.ts';
import { CuttingTokenizer } from './cutting-tokenizer.ts';

let tokenizer: TextTokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(fileURLToPath(new URL('./goldens/tiny-encoder', import.meta.url)));
});

const MAX = 32;
const WORDS = 'the lamp of a river, stones and (ships) at sea; caf\u00e9 \u4e2d\u6587 '.repeat(4000);

describe('a long text is truncated before tokenisation', () => {
  it.each([
    ['nothing', ''],
    ['a word', 'lamp'],
    ['exactly the maximum number of tokens', 'a '.repeat(MAX - 2)],
    ['one token more', 'a '.repeat(MAX - 1)],
    ['very long prose', WORDS],
    ['blanks first', `${' '.repeat(3000)}a river ${WORDS}`],
    ['a long word in front', `${'x'.repeat(5000)} the river`],
    ['Chinese without blanks', '\u4e2d\u6587'.repeat(5000)],
    ['punctuation without blanks', 'a,b;c.'.repeat(5000)],
  ])('%s: gives the tokens of the complete text', async (_what, text) => {
    const [{ ids, isCut }] = (await (await CuttingTokenizer.create(tokenizer, MAX)).encode([text])) as [
      { ids: Int32Array; isCut: boolean },
    ];
    const [whole] = await tokenizer.encodeBatch([text], { maxLength: 1e6 });
    const [cut] = await tokenizer.encodeBatch([text], { maxLength: MAX });
    expect([...ids]).toEqual([...cut!]);
    expect(isCut).toBe(whole!.length > MAX);
  });

  it('takes little time for 40 million characters, whatever they are', async () => {
    const cutting = await CuttingTokenizer.create(tokenizer, MAX);
    for (const text of ['x'.repeat(4e7), 'ab '.repeat(1.3e7), ' '.repeat(4e7)]) {
      let found: Awaited<ReturnType<typeof cutting.encode>>[number] | undefined;
      const seconds = await cpuSeconds(async () => {
        [found] = await cutting.encode([text]);
      });
      expect(found!.ids.length).toBeLessThanOrEqual(MAX);
      expect(found!.isCut).toBe(true);
      expect(seconds).toBeLessThan(5);
    }
  });

  it('keeps the rows of a batch apart', async () => {
    const cutting = await CuttingTokenizer.create(tokenizer, MAX);
    const texts = ['lamp', `${' '.repeat(2000)}sea`, WORDS, ''];
    const together = await cutting.encode(texts);
    for (const [row, text] of texts.entries()) expect(together[row]).toEqual((await cutting.encode([text]))[0]);
    expect(together.map(({ isCut }) => isCut)).toEqual([false, false, true, false]);
  });
});
