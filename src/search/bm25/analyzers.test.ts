import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { ANALYZERS, type AnalyzerName, openAnalyzer } from './analyzers.ts';
import { Bm25Index } from './bm25-index.ts';
import { wordTerm } from './english-analyzer.ts';

/** Of reference/snowball.py. */
const golden: Record<string, [word: string, stem: string][]> = JSON.parse(
  await readFile(new URL('../goldens/snowball.json', import.meta.url), 'utf8'),
);

describe('an analyzer', () => {
  it.each(ANALYZERS.filter((name) => name !== 'english' && name !== 'standard'))(
    "gives Snowball's stems (%s), whatever the case",
    async (name) => {
      const { term } = await openAnalyzer(name);
      expect(golden[name]!.length).toBeGreaterThan(3);
      for (const [word, stem] of golden[name]!) {
        expect(term(word), word).toBe(stem);
        expect(term(word.toLocaleUpperCase(name === 'turkish' ? 'tr' : 'de').replace('STRASSE', 'STRAßE')), word).toBe(
          stem,
        );
      }
    },
  );

  it('for English equals Lucene and is the default', async () => {
    expect((await openAnalyzer()).term).toBe(wordTerm);
    expect((await openAnalyzer('english')).term).toBe(wordTerm);
  });

  it.each<[AnalyzerName, string, string]>([
    ['standard', "Running's", "running's"],
    ['standard', 'The', 'the'],
    ['french', "L'avion", 'avion'],
    ['french', 'jusqu\u2019ici', 'ici'],
    ['french', "aujourd'hui", "aujourd'hui"],
    ['italian', "dell'abbandonata", 'abbandon'],
    ['turkish', "İstanbul'da", 'istanbul'],
    ['turkish', 'IŞIK', 'ışık'],
  ])('%s: %s is %s', async (name, word, wanted) => {
    expect((await openAnalyzer(name)).term(word)).toBe(wanted);
  });

  it('each has a version of its own, which keys cached indexes', async () => {
    const versions = await Promise.all(ANALYZERS.map(async (name) => (await openAnalyzer(name)).version));
    expect(new Set(versions).size).toBe(ANALYZERS.length);
  });

  it('finds other forms of a word only in its language', async () => {
    const documents = [
      { id: 'a', title: '', text: 'Die alten Häuser' },
      { id: 'b', title: '', text: 'Bücher' },
    ];
    const found = async (analyzer: AnalyzerName) =>
      [...(await (await Bm25Index.build(documents, { analyzer })).search(['Haus', 'Buch alt'], 5))].map((hits) =>
        hits.map(({ id }) => id),
      );
    expect(await found('german')).toEqual([['a'], ['b', 'a']]);
    expect(await found('standard')).toEqual([[], []]);
  });
});
