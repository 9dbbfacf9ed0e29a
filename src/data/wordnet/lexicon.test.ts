import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError } from '../../system/index.ts';
import { parseNoun, readLexicon } from './lexicon.ts';

const PLACE = { file: 'data.noun', line: 7 };
const SAW =
  '00000002 06 n 02 hack_saw 0 metal_saw a 002 @ 00000001 n 0000 + 01234567 v 0102 | cuts metal; "he sawed"  ';
const TOOL = '00000001 06 n 01 tool 0 000 | a thing to work with';

describe('parseNoun', () => {
  it('parses a synset', () => {
    expect(parseNoun(SAW, PLACE)).toEqual({
      id: 'n00000002',
      category: 6,
      words: ['hack saw', 'metal saw'],
      hypernyms: ['n00000001'],
      instanceOf: [],
      definition: 'cuts metal',
      examples: ['he sawed'],
    });
  });

  it('counts words in hexadecimal', () => {
    const words = Array.from({ length: 16 }, (_, number) => `w${number} 0`).join(' ');
    expect(parseNoun(`00000001 03 n 10 ${words} 000 | many`, PLACE).words).toHaveLength(16);
  });

  it('distinguishes instances from kinds', () => {
    const ada = parseNoun('00000003 18 n 01 Ada_Lovelace 0 001 @i 00000001 n 0000 | wrote programs', PLACE);
    expect(ada.hypernyms).toEqual([]);
    expect(ada.instanceOf).toEqual(['n00000001']);
  });

  it.each([
    ['without a gloss', '00000001 06 n 01 tool 0 000'],
    ['with a short offset', '0001 06 n 01 tool 0 000 | a thing'],
    ['of another part of speech', '00000001 29 v 01 cut 0 000 | to cut'],
    ['with a count that is not a number', '00000001 06 n zz tool 0 000 | a thing'],
    ['with fewer words than counted', '00000001 06 n 03 tool 0 000 | a thing'],
    ['with more words than counted', '00000001 06 n 01 tool 0 saw 0 000 | a thing'],
    ['with fewer pointers than counted', '00000001 06 n 01 tool 0 002 @ 00000002 n 0000 | a thing'],
    ['with more pointers than counted', '00000001 06 n 01 tool 0 000 @ 00000002 n 0000 | a thing'],
    ['with a broken pointer', '00000001 06 n 01 tool 0 001 @ here n 0000 | a thing'],
    ['without words', '00000001 06 n 00 000 | a thing'],
  ])('refuses a line %s and names it', (_what, line) => {
    expect(() => parseNoun(line, PLACE)).toThrow(DataError);
    expect(() => parseNoun(line, PLACE)).toThrow(/^data\.noun:7: /);
  });
});

describe('readLexicon', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llm-qe-lexicon-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function read(...lines: string[]) {
    await writeFile(join(folder, 'data.noun'), lines.join('\r\n'));
    await writeFile(
      join(folder, 'index.adj'),
      '  1 Copyright\nhand-held a 1 0 1 1 00000001\nin_hand a 1 0 1 1 00000002\n',
    );
    return readLexicon(folder);
  }

  it('reads synsets and the licence above them', async () => {
    const lexicon = await read('  1 Terms of use  ', '  2 WordNet 9.1 Copyright  ', TOOL, SAW, '');
    expect([...lexicon.synsets.keys()]).toEqual(['n00000001', 'n00000002']);
    expect(lexicon.licence).toBe('Terms of use\nWordNet 9.1 Copyright\n');
    expect(lexicon.release).toBe('9.1');
    expect(lexicon.adjectives).toEqual(['hand-held', 'in hand']);
  });

  it('refuses a missing file, an empty file, a duplicate synset and a missing hypernym', async () => {
    await expect(readLexicon(join(folder, 'absent'))).rejects.toThrow(DataError);
    await expect(read('')).rejects.toThrow(/holds no synset/);
    await expect(read(TOOL, TOOL)).rejects.toThrow(/:2: synset n00000001 is listed twice/);
    await expect(read(SAW)).rejects.toThrow(/hypernym n00000001 is missing/);
  });
});
