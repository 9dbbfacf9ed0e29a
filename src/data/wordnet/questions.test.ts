import { describe, expect, it } from 'vitest';
import { Random } from '../../system/index.ts';
import type { Synset } from './lexicon.ts';
import { indefiniteArticle, type NounKind, NounKinds, writeQuestion } from './questions.ts';
import { Taxonomy } from './taxonomy.ts';

it.each([
  ['abacus', 'an'],
  ['hacksaw', 'a'],
  ['hour', 'an'],
  ['heirloom', 'an'],
  ['unicorn', 'a'],
  ['uninvited guest', 'an'],
  ['university', 'a'],
  ['ukulele', 'a'],
  ['umbrella', 'an'],
  ['European', 'a'],
  ['ewe', 'a'],
  ['one-off', 'a'],
  ['FBI agent', 'an'],
  ['PC', 'a'],
  ['X-ray', 'an'],
  ['T-shirt', 'a'],
])('writes the article of %s as %s', (term, article) => {
  expect(indefiniteArticle(term)).toBe(article);
});

function noun(id: string, category: number, words: string[], more: Partial<Synset> = {}): Synset {
  return { id, category, words, hypernyms: [], instanceOf: [], definition: 'something', examples: [], ...more };
}

describe('NounKinds', () => {
  const root = noun('n1', 3, ['thing']);
  const fabric = noun('n2', 6, ['fabric'], { hypernyms: ['n1'] });
  const taxon = noun('n3', 14, ['taxonomic group'], { hypernyms: ['n1'] });
  const trouser = noun('n4', 6, ['trouser'], { hypernyms: ['n1'] });
  const synsets = new Map([root, fabric, taxon, trouser].map((synset) => [synset.id, synset]));
  const denim = noun('n5', 6, ['denim'], { hypernyms: ['n2'] });
  const lynx = noun('n6', 5, ['genus Lynx'], { hypernyms: ['n3'] });
  const all = new Map([...synsets, [denim.id, denim], [lynx.id, lynx]]);
  const kinds = new NounKinds(all, new Taxonomy(all));
  const place = { instanceOf: ['n1'] };

  it.each<[string, NounKind | undefined, Synset]>([
    ['hacksaw', 'count', noun('n9', 6, ['hacksaw'])],
    ['trousers', 'plural', noun('n9', 6, ['trousers'])],
    ['physics', 'mass', noun('n9', 9, ['physics'])],
    ['bravery', 'word', noun('n9', 7, ['bravery'])],
    ['gasoline', 'mass', noun('n9', 27, ['gasoline'])],
    ['denim', 'mass', denim],
    ['Mafia', 'word', noun('n9', 14, ['Mafia'])],
    ['Methodist', 'count', noun('n9', 18, ['Methodist'])],
    ['Abies concolor', 'mass', noun('n9', 20, ['Abies concolor'])],
    ['Ada Lovelace', 'person', noun('n9', 18, ['Ada Lovelace'], place)],
    ['Emile Coue', 'person', noun('n9', 18, ['Emile Coue'], { definition: 'psychotherapist (1857-1926)' })],
    ['Tulsa', 'place', noun('n9', 15, ['Tulsa'], place)],
    ['Bastille Day', undefined, noun('n9', 28, ['Bastille Day'], place)],
  ])('asks for %s as %s', (term, kind, synset) => {
    expect(kinds.kindOf(term, synset)).toBe(kind);
  });

  it('knows taxa', () => {
    expect(kinds.isTaxon(lynx)).toBe(true);
    expect(kinds.isTaxon(denim)).toBe(false);
  });
});

describe('writeQuestion', () => {
  const asked = (term: string, kind: NounKind, definition = '') =>
    new Set(Array.from({ length: 40 }, (_, seed) => writeQuestion(term, kind, [definition], new Random(seed))));

  it('phrases questions in several ways, with the right article and number', () => {
    expect(asked('abacus', 'count')).toContain('What is an abacus?');
    expect(asked('abacus', 'count').size).toBeGreaterThan(2);
    expect(asked('jeans', 'plural')).toContain('What are jeans?');
    expect(asked('gasoline', 'mass')).toContain('What is gasoline?');
    expect(asked('Tulsa', 'place')).toContain('Where is Tulsa?');
    expect(asked('Virgin Islands', 'place')).toContain('Where is the Virgin Islands?');
  });

  it('uses the past tense for the dead', () => {
    expect(asked('Ada Lovelace', 'person', 'English mathematician (1815-1852)')).toContain('Who was Ada Lovelace?');
    expect(asked('Grace Jones', 'person', 'singer (born in 1948)')).toContain('Who is Grace Jones?');
  });

  it('leaves no template placeholder behind', () => {
    const kinds: NounKind[] = ['person', 'place', 'count', 'plural', 'mass', 'word'];
    for (const kind of kinds)
      for (const question of asked('x $& y', kind)) expect(question).toMatch(/^[^{}]*x \$& y[^{}]*\?$/);
  });
});
