import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cpuSeconds } from '../../../test/support/cpu-time.ts';
import { ModelError, UsageError } from '../../system/index.ts';
import type { Checkpoint } from '../formats/checkpoint-contract.ts';
import { ChatTemplate, ggufChatTemplate, loadChatTemplate, type TemplateMessage } from './chat-template.ts';

interface Goldens {
  templates: Record<string, { template: string; bos: string; eos: string; variables: Record<string, unknown> }>;
  cases: {
    template: string;
    messages: TemplateMessage[];
    addGenerationPrompt: boolean;
    text?: string;
    refused?: string;
  }[];
}

const goldens: Goldens = JSON.parse(await readFile(new URL('../goldens/chat-templates.json', import.meta.url), 'utf8'));
const question = [{ role: 'user', content: 'What is a hacksaw?' }];
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'templates-'));
});
afterAll(() => rm(folder, { recursive: true }));

test.each(goldens.cases)('renders as Transformers does: $template, $messages, $addGenerationPrompt', (golden) => {
  const { template, bos, eos, variables } = goldens.templates[golden.template]!;
  const rendering = () =>
    new ChatTemplate(template, { bos, eos }).render(golden.messages, {
      addGenerationPrompt: golden.addGenerationPrompt,
      variables,
    });
  if (golden.refused === undefined) expect(rendering()).toBe(golden.text);
  else {
    expect(rendering).toThrow(ModelError);
    expect(rendering).toThrow(golden.refused);
  }
});

test.each([
  ...['messages', 'add_generation_prompt', 'bos_token', 'eos_token', 'raise_exception', 'strftime_now'],
  ...['range', 'namespace', 'true', 'False', 'none'],
])('refuses a variable with the reserved name %s', (name) => {
  const template = new ChatTemplate('{{ messages[0].content }} {{ mine }}', {});
  const render = (variables: Record<string, unknown>) =>
    template.render(question, { addGenerationPrompt: true, variables });
  expect(() => render({ mine: 'yes', [name]: 'x' })).toThrow(UsageError);
  expect(() => render({ mine: 'yes', [name]: 'x' })).toThrow(`${name} is a reserved name`);
  expect(render({ mine: 'yes', [`my_${name}`]: 'x' })).toBe('What is a hacksaw? yes');
});

describe('a prompt begins with BOS once', () => {
  const llama = goldens.templates['llama-3']!;
  const bare = '{% for m in messages %}{{ m.content }}{% endfor %}';

  test('if the template writes it and the tokenizer would add it too', () => {
    const prompt = new ChatTemplate(llama.template, { bos: llama.bos, addBos: true }).renderPrompt(question);
    expect(prompt.split(llama.bos)).toHaveLength(2);
    expect(prompt.startsWith(llama.bos)).toBe(true);
  });

  test('if the template omits it and the tokenizer wants it', () => {
    expect(new ChatTemplate(bare, { bos: '<s>', addBos: true }).renderPrompt(question)).toBe('<s>What is a hacksaw?');
  });

  test('or not at all, if neither wants it', () => {
    expect(new ChatTemplate(bare, { bos: '<s>' }).renderPrompt(question)).toBe('What is a hacksaw?');
    expect(new ChatTemplate(bare, { addBos: true }).renderPrompt(question)).toBe('What is a hacksaw?');
  });
});

test('a template that cannot be parsed is a typed error', () => {
  expect(() => new ChatTemplate('{% for %}', {})).toThrow(ModelError);
  expect(() => new ChatTemplate('{{ messages', {})).toThrow('cannot be parsed');
  expect(() => new ChatTemplate('{{ messages | unheard_of }}', {}).renderPrompt(question)).toThrow('refuses');
});

describe('templates are found in', () => {
  const write = (name: string, content: unknown) =>
    writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));

  test('tokenizer_config.json, its named templates, and first of all chat_template.jinja', async () => {
    expect(await loadChatTemplate(folder)).toBeUndefined();
    await write('tokenizer_config.json', { bos_token: '<s>', eos_token: { content: '</s>' }, add_bos_token: true });
    expect(await loadChatTemplate(folder)).toBeUndefined();
    await write('tokenizer_config.json', { chat_template: 'one', bos_token: '<s>', eos_token: { content: '</s>' } });
    const one = await loadChatTemplate(folder);
    expect(one?.source).toBe('one');
    expect(one?.tokens).toEqual({ bos: '<s>', eos: '</s>', addBos: undefined, file: folder });
    const named = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'plain' },
    ];
    await write('tokenizer_config.json', { chat_template: named });
    expect((await loadChatTemplate(folder))?.source).toBe('plain');
    await write('chat_template.jinja', 'file');
    expect((await loadChatTemplate(folder))?.source).toBe('file');
    await write('tokenizer_config.json', '{');
    await expect(loadChatTemplate(folder)).rejects.toThrow(ModelError);
  });

  test('GGUF metadata', () => {
    const gguf = (metadata: Record<string, unknown>) => ({ metadata: () => metadata }) as unknown as Checkpoint;
    expect(ggufChatTemplate(gguf({}))).toBeUndefined();
    const template = ggufChatTemplate(
      gguf({
        'tokenizer.chat_template': '{{ messages[0].content }}{{ eos_token }}',
        'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>'],
        'tokenizer.ggml.bos_token_id': 1,
        'tokenizer.ggml.eos_token_id': 2,
        'tokenizer.ggml.add_bos_token': true,
      }),
    );
    expect(template?.renderPrompt(question)).toBe('<s>What is a hacksaw?</s>');
  });
});

describe('an untrusted template is bounded', () => {
  const render = (template: string) =>
    new ChatTemplate(template, { file: 'model.gguf' }).render(question, { addGenerationPrompt: true });

  test.each([
    ['a huge range', '{% for i in range(100000000) %}x{% endfor %}', /range\(0, 100000000, 1\) is too long/],
    ['a range without an end', '{% for i in range(0, 10, 0) %}x{% endfor %}', /is too long/],
    [
      'nested loops',
      '{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}',
      /more than 3 seconds/,
    ],
    ['a macro that calls itself', '{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}', /./],
    [
      'doubled text',
      `{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}`,
      /./,
    ],
    ['too much text', `{% for i in range(2000) %}${'x'.repeat(1000)}{% endfor %}`, /produces 2000000 characters/],
  ])('%s', async (_name, template, words) => {
    let thrown: unknown;
    const seconds = await cpuSeconds(() => {
      try {
        render(template);
      } catch (error) {
        thrown = error;
      }
    });
    expect(thrown).toBeInstanceOf(ModelError);
    expect((thrown as ModelError).message).toMatch(words);
    expect(seconds).toBeLessThan(8);
  });

  test('ordinary ranges work as in Python', () => {
    const of = (range: string) => render(`{% for i in ${range} %}{{ i }},{% endfor %}`);
    expect(of('range(4)')).toBe('0,1,2,3,');
    expect(of('range(2, 5)')).toBe('2,3,4,');
    expect(of('range(5, 0, -2)')).toBe('5,3,1,');
    expect(of('range(3, 1)')).toBe('');
  });
});
