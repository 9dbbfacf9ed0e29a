import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Message } from '../../data/index.ts';
import { ChatTemplate, loadTokenizer, type TextTokenizer } from '../../models/index.ts';
import { DataError, ModelError } from '../../system/index.ts';
import { tokenizePairs } from './chat-tokens.ts';

interface Case {
  template: string;
  pair: number;
  promptIds: number[];
  chosenIds: number[];
  rejectedIds: number[];
}
interface Goldens {
  templates: Record<string, { template: string; bos: string | null; eos: string; pad: string }>;
  pairs: Record<'prompt' | 'chosen' | 'rejected', Message[]>[];
  cases: Case[];
  tokenizer: unknown;
}

let folder: string;
let goldens: Goldens;
let tokenizer: TextTokenizer;
beforeAll(async () => {
  const file = fileURLToPath(new URL('../goldens/chat-tokens.json', import.meta.url));
  goldens = JSON.parse(await readFile(file, 'utf8'));
  folder = await mkdtemp(join(tmpdir(), 'llm-qe-tokens-'));
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(goldens.tokenizer));
  tokenizer = await loadTokenizer(folder);
});
afterAll(() => rm(folder, { recursive: true }));

const templateOf = (name: string, addBos = false) => {
  const { template, bos, eos } = goldens.templates[name]!;
  return new ChatTemplate(template, { bos: bos ?? undefined, eos, addBos });
};
const pairsOf = () => goldens.pairs.map((pair, index) => ({ id: `pair-${index}`, ...pair }));
const turn = (role: Message['role'], content: string): Message[] => [{ role, content }];
const pairOf = (prompt: string, chosen: string, rejected: string, id = 'one') => {
  return { id, prompt: turn('user', prompt), chosen: turn('assistant', chosen), rejected: turn('assistant', rejected) };
};
const tokenize = (pairs: ReturnType<typeof pairsOf>, maxLength = 1024, template = templateOf('smollm2')) =>
  tokenizePairs(pairs, { tokenizer, template, maxLength });

describe.each(['llama-3', 'smollm2', 'qwen-2.5', 'qwen-3'])("with the chat template of %s ids are TRL's", (name) => {
  test('of prompt and both completions', async () => {
    const { pairs, skipped } = await tokenize(pairsOf(), 1024, templateOf(name));
    expect(Object.values(skipped)).toEqual([0, 0, 0, 0]);
    const expected = goldens.cases.filter(({ template }) => template === name);
    expect(expected.length).toBe(goldens.pairs.length);
    for (const { pair, promptIds, chosenIds, rejectedIds } of expected) {
      const { prompt, chosen, rejected } = pairs[pair]!;
      expect([...prompt]).toEqual(promptIds);
      expect([...chosen]).toEqual(chosenIds);
      expect([...rejected]).toEqual(rejectedIds);
    }
  });
});

test('BOS comes first, once, if the model uses one, as in generation', async () => {
  const bos = tokenizer.tokenId('<|begin_of_text|>')!;
  const counts = async (template: ChatTemplate) => {
    const { pairs } = await tokenize(pairsOf().slice(0, 1), 1024, template);
    return pairs[0]!.prompt.filter((id) => id === bos).length;
  };
  const { template, eos } = goldens.templates.smollm2!;
  expect(await counts(new ChatTemplate(template, { bos: '<|begin_of_text|>', eos, addBos: true }))).toBe(1);
  expect(await counts(new ChatTemplate(template, { bos: '<|begin_of_text|>', eos }))).toBe(0);
  expect(await counts(templateOf('llama-3', true))).toBe(1);
});

describe('the maximum length', () => {
  test('truncates completions at the end, and counts them', async () => {
    const whole = await tokenize([pairOf('Where?', 'Here.', 'It is a saw that cuts metal.')]);
    const { prompt, chosen, rejected } = whole.pairs[0]!;
    const maxLength = prompt.length + chosen.length;
    const cut = await tokenize([pairOf('Where?', 'Here.', 'It is a saw that cuts metal.')], maxLength);
    expect(cut.pairs[0]!.prompt).toEqual(prompt);
    expect(cut.pairs[0]!.chosen).toEqual(chosen);
    expect(cut.pairs[0]!.rejected).toEqual(rejected.slice(0, chosen.length));
    expect(whole.cut).toEqual({ chosen: 0, rejected: 0 });
    expect(cut.cut).toEqual({ chosen: 0, rejected: 1 });
  });

  test('never truncates a prompt: such a pair is skipped and counted, like one whose sides are equal when cut', async () => {
    const short = pairOf('Why?', 'A saw. B', 'A saw. C', 'equal');
    const { prompt, chosen } = (await tokenize([short])).pairs[0]!;
    const maxLength = prompt.length + chosen.length - 3;
    const pairs = [pairOf('What is a hacksaw? '.repeat(9), 'A saw.', 'No.', 'long'), short];
    const kept = pairOf('Why?', 'So.', 'Or so.', 'kept');
    const result = await tokenize([...pairs, kept], maxLength);
    expect(result.pairs.map(({ id }) => id)).toEqual(['kept']);
    expect(result.skipped).toEqual({
      'prompt too long': 1,
      'no common prompt': 0,
      'empty completion': 0,
      'equal when cut': 1,
    });
    expect(result.examples).toEqual(['long: prompt too long', 'equal: equal when cut']);
    await expect(tokenize(pairs, maxLength)).rejects.toThrow(DataError);
    await expect(tokenize(pairs, maxLength)).rejects.toThrow(
      /none of the 2 pairs .*prompt too long: 1, equal when cut: 1/,
    );
  });
});

test('variables of the chat template are part of prompt and answer', async () => {
  const source = (mode: string) =>
    `{% for m in messages %}{{ m.content }}{% endfor %}{{ ${mode} }}{% if add_generation_prompt %}: {% endif %}`;
  const template = new ChatTemplate(source('mode'), {});
  const given = [pairOf('Why? ', 'A saw.', 'A ship.')];
  const idsOf = async (variables?: Record<string, unknown>, of = template) => {
    const { pairs } = await tokenizePairs(given, { tokenizer, template: of, variables, maxLength: 1024 });
    return pairs.map(({ prompt, chosen, rejected }) => [[...prompt], [...chosen], [...rejected]]);
  };
  const printed = await idsOf({ mode: ' no thoughts' });
  expect(printed).toEqual(await idsOf(undefined, new ChatTemplate(source("' no thoughts'"), {})));
  expect(printed).not.toEqual(await idsOf());
  await expect(idsOf({ messages: [] })).rejects.toThrow(/messages is a reserved name/);
});

test('if only the chosen side is read, a fault of the rejected one does not matter', async () => {
  const pairs = [pairOf('Why?', 'A saw.', 'A saw.', 'equal'), pairOf('Why?', 'A saw.', '', 'empty')];
  const template = templateOf('smollm2');
  const both = await tokenize([pairOf('Why?', 'A saw.', 'No.')]);
  const result = await tokenizePairs(pairs, { tokenizer, template, maxLength: 1024, sides: 'chosen' });
  const { prompt, chosen } = both.pairs[0]!;
  const rejected = new Int32Array(0);
  expect(result.pairs).toEqual(pairs.map(({ id }) => ({ id, prompt, chosen, rejected })));
});

test('a template that refuses the messages is an error that says so', async () => {
  const refusing = new ChatTemplate("{{ raise_exception('no such role') }}", {});
  await expect(tokenize(pairsOf(), 1024, refusing)).rejects.toThrow(ModelError);
});
