import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { captureOutput } from '../../test/support/captured-output.ts';
import { ModelStore } from '../models/index.ts';
import { defaultRetrievalSettings, openEncoder } from '../retrieve/index.ts';
import { SILENT, UsageError } from '../system/index.ts';
import { generatorOptions, openGenerator } from './open-generator.ts';
import { runCommandLine } from './run.ts';

const schema = z.object(generatorOptions);
/** Nothing listens on this port: every refusal comes before a connection. */
const SERVER = 'http://127.0.0.1:9';
const signal = new AbortController().signal;

describe('options without effect', () => {
  it.each([
    [{ gpu: true }, '--gpu has no effect'],
    [{ context: 512 }, '--context has no effect'],
    [{ sequences: 4 }, '--sequences has no effect'],
    [{ threads: 2 }, '--threads has no effect'],
    [{ deterministic: true }, '--deterministic has no effect'],
    [{ adapter: ['folder'] }, '--adapter has no effect'],
    [{ gpu: true, context: 512, sequences: 4 }, '--gpu, --context and --sequences have no effect'],
  ])('are refused if a server writes: %j', async (options, message) => {
    const opened = openGenerator(schema.parse({ generator: [SERVER], ...options }), { signal, progress: SILENT });
    await expect(opened).rejects.toThrow(`${message}, because the generator is a server`);
    await expect(opened).rejects.toBeInstanceOf(UsageError);
  });

  it.each([
    [{ model: 'x' }, '--model has no effect'],
    [{ concurrency: 16 }, '--concurrency has no effect'],
    [{ timeout: 300 }, '--timeout has no effect'],
    [{ concurrency: 2, timeout: 10 }, '--concurrency and --timeout have no effect'],
  ])('are refused if the embedded model writes: %j', async (options, message) => {
    const generator = [resolve('src/generate/goldens/tiny-llama.gguf')];
    const opened = openGenerator(schema.parse({ generator, ...options }), { signal, progress: SILENT });
    await expect(opened).rejects.toThrow(`${message}, because the generator is not a server`);
    await expect(opened).rejects.toBeInstanceOf(UsageError);
  });

  it.each([
    [SERVER, { precision: 'int8' }, '--precision has no effect, because the encoder is a server'],
    [SERVER, { pooling: 'cls' }, '--pooling has no effect, because the encoder is a server'],
    [SERVER, { maxLength: 64 }, '--max-length has no effect, because the encoder is a server'],
    ['tiny', { encoderModel: 'x' }, '--encoder-model has no effect, because the encoder is not a server'],
    ['tiny', { batchSize: 8 }, '--batch-size has no effect, because the encoder is not a server'],
  ] as const)('are refused of an encoder: %s %j', async (encoder, options, message) => {
    const settings = { ...defaultRetrievalSettings({ encoder }), encoderModel: undefined, ...options };
    const opened = openEncoder(settings, new ModelStore({ offline: true }), signal);
    await expect(opened).rejects.toThrow(message);
    await expect(opened).rejects.toBeInstanceOf(UsageError);
  });
});

describe('--max-wait', () => {
  const printed = captureOutput();
  it.each([
    [false, ['expand', '--dataset', 'none']],
    [false, ['evaluate', '--dataset', 'none']],
    [false, ['reward', '--dataset', 'none']],
    [false, ['search', '--corpus', 'none', '--query', 'x']],
    [true, ['expand', '--dataset', 'none', '--generator', SERVER]],
    [true, ['evaluate', '--dataset', 'none', '--encoder', SERVER]],
    [true, ['search', '--corpus', 'none', '--query', 'x', '--encoder', SERVER]],
  ])('has an effect (%s) in %j', async (hasEffect, words) => {
    printed.err = '';
    await runCommandLine([...words, '--max-wait', '10']);
    expect(/--max-wait has no effect/.test(printed.err)).toBe(!hasEffect);
    await runCommandLine(words);
    expect(printed.err.match(/--max-wait/g)?.length ?? 0).toBe(hasEffect ? 0 : 1);
  });
});
