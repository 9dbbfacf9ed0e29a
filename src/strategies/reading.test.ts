import { describe, expect, it } from 'vitest';
import { beginningOf } from './first-pass.ts';
import { jsonTexts, keywordsIn, questionsIn, quotedSentences, unquoted } from './reading.ts';

describe('what an LLM wrote', () => {
  it('is read as JSON, also with a fence, a faulty comma or a missing end', () => {
    expect(jsonTexts('```json\n{"answer1": "a", "answer2": " ", "n": 3}\n```')).toEqual(['a']);
    expect(jsonTexts('Sure: ["a", "b",]')).toEqual(['a', 'b']);
    expect(jsonTexts('{"answer1": "a \\"tool\\"", "answer2": "cut o')).toEqual(['a "tool"', 'cut o']);
    expect(jsonTexts('{"answer1": "a" "answer2": "b"}')).toEqual(['a', 'b']);
    for (const text of ['no list', '{', '{}}', '[1, 2']) expect(jsonTexts(text) ?? []).toEqual([]);
  });

  it('is read as questions, with any mark', () => {
    expect(questionsIn('1. One?\n- Two?\nQ3: Three?\nFour?', 3)).toEqual(['One?', 'Two?', 'Three?']);
    expect(questionsIn('{"question1": "One?", "question2": "Two?"}', 3)).toEqual(['One?', 'Two?']);
    expect(questionsIn('', 3)).toEqual([]);
  });

  it('is read as keywords and as quoted sentences', () => {
    expect(keywordsIn('saw,  hand tool , blade,')).toBe('saw hand tool blade');
    expect(keywordsIn('- saw\n* hand tool\n• blade\n\nplane')).toBe('saw hand tool blade plane');
    expect(quotedSentences('Document 1:\n"One."\n\n"Two."')).toBe('One. Two.');
    expect(quotedSentences('Relevant documents:\n1. One\n line.\n2: Two.')).toBe('One line. Two.');
    expect(quotedSentences('nothing')).toBe('');
    const ours = ['Ours.'];
    expect(quotedSentences('"Ours." and " Theirs.", "ours?"', ours)).toBe('Theirs.');
    expect(quotedSentences('Of "Ours.":\n1. One.\n2. Ours.', ours)).toBe('One.');
    expect(unquoted(` "'saw' and "plane""`)).toBe(`saw' and "plane`);
  });

  it('takes time in proportion to its length, whatever it holds', () => {
    const started = performance.now();
    for (const piece of ['"', '\\', '"a":"', '{', '[', '1.', '\n', '- ', ' ', '"a" : ']) {
      const text = piece.repeat(100_000 / piece.length);
      for (const read of [jsonTexts, keywordsIn, quotedSentences, unquoted, beginningOf]) read(text);
      questionsIn(text, 3);
    }
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('the beginning of a document', () => {
  it('has at most so many words and marks, on one line', () => {
    expect(beginningOf('One, two.\n\nThree', 3)).toBe('One, two');
    expect(beginningOf('One, two.\n\nThree', 5)).toBe('One, two. Three');
    expect(beginningOf('x'.repeat(5000), 3)).toHaveLength(30);
    expect(beginningOf('', 3)).toBe('');
  });
});
