import { describe, expect, it } from 'vitest';
import { cutOpening } from './openings.ts';

describe('cutOpening', () => {
  it.each([
    'Here is a passage to answer the question:',
    "Here's a passage that answers the question:",
    'Here is a passage answering the question:',
    'Here is a passage that attempts to answer the question:',
    'Here is a passage to answer your question:',
    "Here's a possible passage:",
    'Here is a potential passage:',
    'Here is a passage:',
    'Here is the passage:',
    'Here’s a possible passage that answers your question:',
    'Sure, I can help! Here is a passage to answer the question:',
  ])('cuts %j', (opening) => {
    expect(cutOpening(`${opening}\n\nA lagoon is shallow water.`)).toBe('A lagoon is shallow water.');
  });

  it.each([
    'Here is a passage of the river: it is narrow.',
    'Here is the answer: 42',
    'A passage: one page.',
    'Where is a passage:',
  ])('leaves %j', (text) => {
    expect(cutOpening(text)).toBe(text);
  });

  it('cuts at the first opening only', () => {
    const text = 'Here is a passage: one. Here is a passage: two.';
    expect(cutOpening(text)).toBe('one. Here is a passage: two.');
  });

  it('trims, and may leave nothing', () => {
    expect(cutOpening('\n  a text \n')).toBe('a text');
    expect(cutOpening("Here's a passage:  \n")).toBe('');
  });
});
