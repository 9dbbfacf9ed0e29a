import { Command as Commander } from 'commander';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { UsageError } from '../system/index.ts';
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

  it('names the option that is out of range', () => {
    expect(() => type('a.run', '--alpha', '2')).toThrow(UsageError);
    expect(() => type('a.run', '--alpha', '2')).toThrow(/--alpha/);
    expect(() => type('a.run', '--alpha', 'half')).toThrow(/--alpha/);
  });

  it('suggests the option that was meant', () => {
    expect(() => type('a.run', '--alhpa', '1')).toThrow(/Did you mean --alpha/);
    expect(() => type('a.run', '--retriever', 'bm52')).toThrow(/Allowed are dense, bm25/);
  });

  it('writes the help from the schema', () => {
    const target = new Commander('try');
    addOptions(target, command);
    const help = target.helpInformation();
    expect(help).toContain('RUN-FILE');
    expect(help).toContain('--out <FILE>');
    expect(help).toMatch(/--alpha <N>\s+weight \(default 0.5\)/);
    expect(help).toMatch(/how \(dense \| bm25;\s+default dense\)/);
    expect(help).toContain('--no-drop-self');
  });
});
