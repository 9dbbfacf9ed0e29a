import { Command as Commander } from 'commander';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { UsageError } from '../system/index.ts';
import { CATALOGUE } from './catalogue.ts';
import { defineCommand } from './command.ts';
import { addOptions, parseOptions } from './options.ts';

const command = defineCommand({
  name: 'try',
  summary: 'tries',
  arguments: [{ key: 'runFile', required: true }],
  options: z.object({
    runFile: z.string().describe('a run'),
    alpha: z.coerce.number().min(0).max(1).default(0.5).describe('weight'),
    retriever: z.enum(['dense', 'bm25']).default('dense').describe('how'),
    measure: z.array(z.string()).default(['nDCG@10']).describe('what'),
    dropSelf: z.boolean().default(true).describe('drop'),
    json: z.boolean().default(false).describe('as JSON'),
    out: z.string().optional().describe('where').meta({ valueName: 'FILE' }),
  }),
  examples: [],
  run: async () => {},
});

function type(...words: string[]) {
  const target = new Commander('try').exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
  addOptions(target, command);
  target.parse(words, { from: 'user' });
  return parseOptions(command, { ...target.opts(), runFile: target.args[0] });
}

describe('options from a schema', () => {
  it('takes the defaults from the schema', () => {
    expect(type('a.run')).toEqual({
      runFile: 'a.run',
      alpha: 0.5,
      retriever: 'dense',
      measure: ['nDCG@10'],
      dropSelf: true,
      json: false,
    });
  });

  it('reads values, lists, flags and negated flags', () => {
    const options = type(
      'a.run',
      '--alpha',
      '0.25',
      '--measure',
      'P@1',
      '--measure',
      'MAP',
      '--no-drop-self',
      '--json',
    );
    expect(options).toMatchObject({ alpha: 0.25, measure: ['P@1', 'MAP'], dropSelf: false, json: true });
  });

  it('shows the outermost default, and none if it is empty', () => {
    const shared = z.coerce.number().default(512).describe('limit');
    const options = z.object({
      limit: shared.default(128),
      all: shared,
      adapter: z.array(z.string()).default([]).describe('which'),
    });
    const target = new Commander('try');
    addOptions(target, defineCommand({ name: 'try', summary: 'a try', examples: [], options, run: async () => {} }));
    expect(target.options.map(({ description }) => description)).toEqual([
      'limit (default 128)',
      'limit (default 512)',
      expect.not.stringMatching(/default/),
    ]);
  });

  it('shows one default, the value rather than the words, and lists few choices only', () => {
    const limit = z.number().optional().describe('limit (default: none)');
    const many = Array.from({ length: 21 }, (_, index) => `c${index}`) as [string, ...string[]];
    const options = z.object({
      words: limit,
      value: limit.unwrap().default(1).describe('limit (default: none)'),
      pooling: z.enum(['mean', 'cls']).optional().describe('pooling (default: its own)'),
      measure: z.enum(many).default('c1').describe('measure: c0 to c20'),
    });
    const target = new Commander('try');
    addOptions(target, defineCommand({ name: 'try', summary: 'a try', examples: [], options, run: async () => {} }));
    expect(target.options.map(({ description }) => description)).toEqual([
      'limit (default: none)',
      'limit (default 1)',
      'pooling (mean | cls; default: its own)',
      'measure: c0 to c20 (default c1)',
    ]);
  });

  it.each(Object.keys(CATALOGUE))('says each thing once in the help of %s', async (name) => {
    const target = new Commander(name);
    addOptions(target, (await CATALOGUE[name]!()).command);
    const stutters = target.options
      .map(({ description }) => description)
      .filter((words) => /\bdefault\b.*\(default|\(default.*; default|\(repeatable\) \(/.test(words));
    expect(stutters).toEqual([]);
  });

  it('names the option that is out of range', () => {
    expect(() => type('a.run', '--alpha', '2')).toThrow(UsageError);
    expect(() => type('a.run', '--alpha', '2')).toThrow(/--alpha/);
    expect(() => type('a.run', '--alpha', 'half')).toThrow(/--alpha/);
  });

  it('suggests the closest option', () => {
    expect(() => type('a.run', '--alhpa', '1')).toThrow(/Did you mean --alpha/);
    expect(() => type('a.run', '--retriever', 'bm52')).toThrow(/Allowed values: dense, bm25/);
  });

  it('writes the help from the schema', () => {
    const target = new Commander('try');
    addOptions(target, command);
    const help = target.helpInformation();
    expect(help).toContain('RUN-FILE');
    expect(help).toContain('--out <FILE>');
    expect(help).toMatch(/--alpha <N>\s+weight \(default 0.5\)/);
    expect(help).toMatch(/what \(repeatable; default nDCG@10\)/);
    expect(help).toMatch(/how \(dense \| bm25;\s+default dense\)/);
    expect(help).toContain('--no-drop-self');
  });
});

describe('numbers and former names', () => {
  const trains = defineCommand({
    name: 'train',
    summary: 'trains',
    options: z.object({
      rate: z.number().positive().default(1).describe('a number without coercion'),
      betas: z
        .tuple([z.number().lt(1), z.number().lt(1)])
        .default([0.9, 0.999])
        .describe('two numbers'),
      weights: z.array(z.number()).optional().describe('numbers'),
      name: z.string().default('1').describe('a text'),
      full: z.boolean().default(false).describe('a flag'),
    }),
    renamed: { speed: 'rate', oldFlag: 'full' },
    examples: [],
    run: async () => {},
  });
  const typed = (...words: string[]) => {
    const target = new Commander('train').exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
    addOptions(target, trains);
    target.parse(words, { from: 'user' });
    return parseOptions(trains, target.opts());
  };

  it('reads numbers, lists and tuples of numbers by the schema, and leaves texts unchanged', () => {
    const words = ['--rate', '2e-5', '--betas', '.8', '--betas', '0.95', '--weights', '1', '--weights', '2'];
    expect(typed(...words, '--name', '7')).toEqual({
      ...{ rate: 2e-5, betas: [0.8, 0.95], weights: [1, 2], name: '7', full: false },
    });
    expect(typed().betas).toEqual([0.9, 0.999]);
  });

  it.each([
    [['--rate', 'fast'], /--rate/],
    [['--rate', 'Infinity'], /--rate/],
    [['--rate', '-1'], /--rate/],
    [['--betas', '0.9'], /--betas/],
    [['--betas', '0.9', '--betas', 'x'], /--betas/],
  ])('refuses %j', (words, message) => {
    expect(() => typed(...words)).toThrow(message);
  });

  it.each([
    [['--speed', '3'], '--speed is now called --rate'],
    [['--speed'], '--speed is now called --rate'],
    [['--speed=3'], '--speed is now called --rate'],
    [['--old-flag'], '--old-flag is now called --full'],
  ])('refuses a former name with the new one: %j', (words, message) => {
    expect(() => typed(...words)).toThrow(UsageError);
    expect(() => typed(...words)).toThrow(message);
  });
});
