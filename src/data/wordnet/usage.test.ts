import { expect, it } from 'vitest';
import type { Synset } from './lexicon.ts';
import { termKey } from './terms.ts';
import { countUses } from './usage.ts';

it('counts terms of one or several words, in singular and plural, in definitions and examples', () => {
  const noun = (id: string, words: string[], definition: string, examples: string[] = []): [string, Synset] => [
    id,
    { id, category: 6, words, hypernyms: [], instanceOf: [], definition, examples },
  ];
  const uses = countUses(
    new Map([
      noun('n1', ['hand saw', 'handsaw'], 'saws held in one hand', ['two hand saws', 'a hand-saw']),
      noun('n2', ['saw'], 'a tool'),
      noun('n3', ['house of cards'], 'a weak plan', ['a house of cards']),
      noun('n4', ['gas'], 'a fluid', ['gas escaped']),
    ]),
    termKey,
  );
  expect(Object.fromEntries(uses)).toEqual({ handsaw: 2, saw: 3, houseofcards: 1, gas: 1 });
});
