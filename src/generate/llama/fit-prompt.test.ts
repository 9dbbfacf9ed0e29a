import { describe, expect, it } from 'vitest';
import type { GenerationRequest } from '../generator.ts';
import { fitPrompt, type PromptTokenizer } from './fit-prompt.ts';

/** One token per character, except that some pairs of neighbouring letters are one token: a cut changes how its two ends join. */
const TOKENIZER: PromptTokenizer = {
  promptTokens: (messages) => tokensOf(`<${messages[0]!.content}>`),
  tokens: tokensOf,
  textOf: (tokens) => tokens.map((token) => String.fromCodePoint(...pieces(token))).join(''),
};

function tokensOf(text: string): number[] {
  return [...text.matchAll(/[a-z]{2}|./gsu)].map(([piece]) => {
    const [first, second = 0] = [...piece].map((character) => character.codePointAt(0)!);
    return first! + second * 0x200000;
  });
}

function pieces(token: number): number[] {
  const second = Math.floor(token / 0x200000);
  return second === 0 ? [token % 0x200000] : [token % 0x200000, second];
}

function requestWith(document: string): Pick<GenerationRequest, 'messages' | 'cuttable'> {
  const messagesWith = (text: string) => [{ role: 'user' as const, content: `Read a${text}b and answer.` }];
  return { messages: messagesWith(document), cuttable: { text: document, messagesWith } };
}

describe('fitPrompt', () => {
  it('leaves a prompt that fits as it is', () => {
    const request = requestWith('some words');
    const tokens = TOKENIZER.promptTokens(request.messages);
    expect(fitPrompt(request, { limit: tokens.length, room: 1000 }, TOKENIZER)).toEqual({ tokens, cut: false });
  });

  it('cuts only the end of the document, and keeps as much as fits', () => {
    const document = 'words of a document, '.repeat(30);
    const around = TOKENIZER.promptTokens(requestWith('').messages).length;
    for (let limit = around; limit < around + 120; limit++) {
      const { tokens, cut } = fitPrompt(requestWith(document), { limit, room: 1000 }, TOKENIZER);
      expect(cut).toBe(true);
      expect(tokens.length).toBeLessThanOrEqual(limit);
      expect(tokens.length).toBeGreaterThan(limit - 4);
      const text = TOKENIZER.textOf(tokens);
      const [, kept] = /^<Read a(.*)b and answer\.>$/su.exec(text)!;
      expect(document.startsWith(kept!)).toBe(true);
    }
  });

  it('returns a prompt that is too long even without its document, and one that has no document', () => {
    expect(fitPrompt(requestWith('words'), { limit: 3, room: 100 }, TOKENIZER)).toMatchObject({ cut: true });
    expect(fitPrompt(requestWith('words'), { limit: 3, room: 100 }, TOKENIZER).tokens.length).toBeGreaterThan(3);
    const { messages } = requestWith('words');
    expect(fitPrompt({ messages }, { limit: 3, room: 100 }, TOKENIZER)).toEqual({
      tokens: TOKENIZER.promptTokens(messages),
      cut: false,
    });
  });

  it('reads no more of a huge text than it needs to cut it or to find it too long', () => {
    const looked: number[] = [];
    const tokenizer: PromptTokenizer = {
      ...TOKENIZER,
      promptTokens: (messages) => {
        looked.push(messages[0]!.content.length);
        return TOKENIZER.promptTokens(messages);
      },
      tokens: (text) => {
        looked.push(text.length);
        return TOKENIZER.tokens(text);
      },
    };
    const document = 'words of a document, '.repeat(100_000);
    const room = { limit: 40, room: 60 };
    const { tokens, cut } = fitPrompt(requestWith(document), room, tokenizer);
    expect(cut).toBe(true);
    expect(tokens.length).toBeLessThanOrEqual(40);
    const { messages } = requestWith(document);
    expect(fitPrompt({ messages }, room, tokenizer).tokens.length).toBeGreaterThan(60);
    expect(Math.max(...looked)).toBeLessThan(60 * 33 + 100);
    // A few tokens can be many characters: only tokens count.
    const blank = { ...tokenizer, tokens: () => [1], promptTokens: () => [1, 2, 3] };
    expect(fitPrompt({ messages }, room, blank)).toEqual({ tokens: [1, 2, 3], cut: false });
  });
});
