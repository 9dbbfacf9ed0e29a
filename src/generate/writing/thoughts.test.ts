import { describe, expect, it } from 'vitest';
import { cpuSeconds } from '../../../test/support/cpu-time.ts';
import { cutThoughts } from './thoughts.ts';
import { readWrittenText } from './written-text.ts';

const ANSWER = 'A lighthouse is a tower whose lamp guides ships.';

describe('cutThoughts', () => {
  it.each([
    ['tags', `<think>\nThe user wants a passage.\n</think>\n\n${ANSWER}`],
    ['no opening, as DeepSeek-R1 writes', `The user wants a passage.\n</think>\n${ANSWER}`],
    ['upper case', `<THINK>hm</THINK> ${ANSWER}`],
    ['blanks in the tags', `< think >hm</ think > ${ANSWER}`],
    ['an attribute', `<think duration="3">hm</think>${ANSWER}`],
    ['several thoughts', `<think>a</think>One draft.<think>b</think>${ANSWER}`],
    ['a thought about tags', `<think>I close it with </think> and <think> again</think>${ANSWER}`],
    ['an empty thought', `<think>\n\n</think>\n\n${ANSWER}`],
    ['<thinking>', `<thinking>hm</thinking>${ANSWER}`],
    ['<thought>', `<thought>hm</thought>${ANSWER}`],
    ['<reasoning>', `<reasoning>hm</reasoning>\n${ANSWER}`],
    ['Seed-OSS', `<seed:think>hm</seed:think>${ANSWER}`],
    ['Magistral', `[THINK]hm[/THINK]${ANSWER}`],
    ['Magistral without its opening', `hm[/THINK]${ANSWER}`],
    ['Kimi', `◁think▷hm◁/think▷${ANSWER}`],
    ['Command A', `<|START_THINKING|>hm<|END_THINKING|>${ANSWER}`],
    ['Command A, whole', `<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>${ANSWER}<|END_RESPONSE|>`],
    ['Gemma', `<|channel>thought\nhm<channel|>${ANSWER}<turn|>`],
    ['an answer in tags', `<think>hm</think>\n<answer>${ANSWER}</answer>`],
    ['<reflection>', `<reflection>hm</reflection>${ANSWER}`],
    ['<analysis>', `<analysis>hm</analysis>\n${ANSWER}`],
    ['<inner_thoughts>', `<inner_thoughts>hm</inner_thoughts>${ANSWER}`],
    ['<inner monologue>', `<inner monologue>hm</inner monologue>${ANSWER}`],
    ['<chain_of_thought>', `<chain_of_thought>hm</chain_of_thought>${ANSWER}`],
    ['<antThinking>', `<antThinking>hm</antThinking>${ANSWER}`],
    ['escaped brackets', `&lt;think&gt;hm &amp;c&lt;/think&gt;\n${ANSWER}`],
    ['escaped brackets, closing only', `hm&lt;/think&gt;${ANSWER}`],
    ['brackets in JSON escapes', `\\u003cthink\\u003ehm\\u003c/think\\u003e${ANSWER}`],
    ['the end of a turn', `<think>hm</think>${ANSWER}<|im_end|>\n`],
    ['the end of a turn without a thought', `${ANSWER}<|eot_id|></s>`],
    ['a solution', `<|begin_of_thought|>hm<|end_of_thought|>\n<|begin_of_solution|>${ANSWER}<|end_of_solution|>`],
    [
      'gpt-oss',
      `<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>${ANSWER}<|return|>`,
    ],
    ['gpt-oss without a thought', `<|channel|>final<|message|>${ANSWER}`],
    [
      'gpt-oss, two thoughts',
      `<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b<|end|><|start|>assistant<|channel|>final<|message|>${ANSWER}`,
    ],
    ['gpt-oss without special tokens', `analysisThe user wants a passage.assistantfinal${ANSWER}`],
  ])('returns what follows the last thought: %s', (_name, written) => {
    const { text, unfinished } = cutThoughts(written);
    expect(text.trim()).toBe(ANSWER);
    expect(unfinished).toBe(false);
  });

  it.each([
    ['tags', '<think>The user wants'],
    ['white space before', '\n <think>\nThe user wants'],
    ['a second thought', '<think>a</think>One draft.<think>And now'],
    ['Magistral', '[THINK]The user'],
    ['escaped brackets', '&lt;think&gt;The user'],
    ['<analysis>', '<analysis>\nThe user'],
    ['gpt-oss', '<|channel|>analysis<|message|>We need to'],
    ['gpt-oss, whole header', '<|start|>assistant<|channel|>analysis<|message|>We need to'],
    ['gpt-oss without special tokens', 'analysisWe need to'],
  ])('is empty if a thought was never closed: %s', (_name, written) => {
    expect(cutThoughts(written)).toEqual({ text: '', unfinished: true });
  });

  it.each([
    ['I think that a lighthouse is a tower.'],
    ['Thinking aloud: </b> a tower. Reasoning: ships need light.'],
    ['The tag <think> marks what a model thinks.'],
    ['analysis of variance (ANOVA) compares means; the assistant final exam does too.'],
    ['[THINKER] is no tag of Mistral, and [THINK] no beginning here'],
    ['a <thinker> is a statue'],
    ['An <analysis> tag, or &lt;think&gt;, marks what a model thinks.'],
    ['<analyst> and <cots> are not tags of thoughts'],
    [''],
  ])('keeps a complete passage that only mentions thinking: %s', (written) => {
    expect(cutThoughts(written)).toEqual({ text: written, unfinished: false });
  });

  it('takes little time for a hostile text', async () => {
    const seconds = await cpuSeconds(() => {
      for (const piece of [
        '<think ',
        '<',
        '< /',
        '<|channel|>final ',
        '</think',
        '&lt;think ',
        '&lt;',
        '<inner ',
        '<|start|>a',
      ]) {
        cutThoughts(piece.repeat(100_000));
        cutThoughts(`${piece}${' '.repeat(300_000)}`);
      }
    });
    expect(seconds).toBeLessThan(5);
  });
});

describe('readWrittenText', () => {
  const facts = { id: 'a', finish: 'length', promptTokens: 1, completionTokens: 2, milliseconds: 3 } as const;

  it('keeps everything that was written in addition to the passage', () => {
    const written = `<think>hm</think>Here is a passage: ${ANSWER}`;
    expect(readWrittenText({ ...facts, text: written }, 1)).toMatchObject({ text: ANSWER, raw: written });
    expect(readWrittenText({ ...facts, text: ANSWER }, 1)).not.toHaveProperty('raw');
  });

  it('says why a text is empty', () => {
    const reasonOf = (more: object) => readWrittenText({ ...facts, text: '', ...more }, 1).emptyBecause;
    expect(reasonOf({ text: '<think>hm' })).toBe('unfinishedThought');
    expect(reasonOf({ reasoning: 'hm' })).toBe('unfinishedThought');
    expect(reasonOf({ promptTooLong: true })).toBe('promptTooLong');
    // Such as OpenAI's models do, which keep their thoughts to themselves.
    expect(reasonOf({ text: ' ' })).toBe('unfinishedThought');
    expect(reasonOf({ text: ' ', finish: 'stop' })).toBeUndefined();
    expect(reasonOf({ text: ANSWER, reasoning: 'hm' })).toBeUndefined();
  });
});
