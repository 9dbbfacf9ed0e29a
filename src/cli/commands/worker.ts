import { z } from 'zod';
import { serveJobs } from '../../distribute/index.ts';
import { counted, workerFile } from '../../system/index.ts';
import { defineCommand } from '../command.ts';
import { generatorOptions, logProbabilitiesOption } from '../open-generator.ts';
import { declaredEncoder, declaredGenerator, encoderOptions, workerOptions } from '../several-machines.ts';

const { generator, model, adapter, chatTemplateKwargs, maxTokens, concurrency, timeout, sequences, context, gpu } =
  generatorOptions;

const options = z.object({
  ...workerOptions,
  work: z
    .enum(['texts', 'vectors'])
    .default('texts')
    .describe('texts: write for `llm-qe expand`; vectors: embed for `llm-qe embed`'),
  ...{ generator, model, adapter, chatTemplateKwargs, maxTokens, concurrency, timeout, sequences, context, gpu },
  deterministic: generatorOptions.deterministic,
  ...logProbabilitiesOption,
  ...encoderOptions,
});

export const command = defineCommand({
  name: 'worker',
  summary: 'write texts or compute vectors for commands on other machines',
  description:
    'Serves a queue until it is stopped: `llm-qe expand --queue` and `llm-qe embed --queue` put jobs into it. The worker decides how\nits model runs; both sides name it alike (--generator, --encoder). Start as many workers as you like, at any time. If one is\nkilled, another does its job again; one that is stopped with Ctrl-C gives it back at once.',
  options,
  examples: [
    ['llm-qe worker --queue redis://host:6379', 'writes with the default LLM'],
    [
      'llm-qe worker --queue redis://host:6379 --generator llama-3-8b-instruct-gguf --gpu',
      'writes with another LLM, on the GPU',
    ],
    ['llm-qe worker --queue redis://host:6379 --work vectors --encoder bge-small-en-v1.5', 'embeds'],
    ['llm-qe worker --queue postgres://me@host/queues', 'a queue in PostgreSQL'],
  ],
  async run({ queue, lostAfter, work, ...given }, { signal, progress, say, warn }) {
    const isGenerator = work === 'texts';
    const declared = isGenerator ? declaredGenerator(given) : declaredEncoder(given);
    const opening = progress.task(`opening ${declared}`, undefined, 'models');
    let jobs = 0;
    await serveJobs({
      address: queue,
      kind: isGenerator ? 'generator' : 'encoder',
      declared,
      program: workerFile(import.meta.url, '../worker-process.ts'),
      options: { [isGenerator ? 'generator' : 'encoder']: given },
      lostAfter,
      signal,
      warn,
      onOpen(id) {
        opening.done();
        say(`serves ${queue.shown} with ${id}, until Ctrl-C`);
      },
      onJob(milliseconds) {
        jobs++;
        say(`finished a job in ${(milliseconds / 1000).toFixed(1)} s`);
      },
    });
    say(`stopped after ${counted(jobs, 'job')}`);
  },
});
