import { z } from 'zod';
import { type Service, serveMcpOverStdio } from '../../serve/index.ts';
import { defineCommand } from '../command.ts';
import { Opened, openService, serviceOptions, warnOnce } from '../open-service.ts';

export const command = defineCommand({
  name: 'mcp',
  summary: 'answer an agent over stdin and stdout, in the Model Context Protocol',
  description:
    'Offers the tools search, expand and compare. The agent starts this command itself: name it in the settings of your agent. Over HTTP,\n`llm-qe serve --mcp` offers the same. Needs the package @modelcontextprotocol/server.',
  options: z.object(serviceOptions),
  examples: [
    ['llm-qe mcp --index docs.jsonl', 'search your own corpus from an agent'],
    [
      `claude mcp add docs -- npx llm-qe mcp --index docs.jsonl`,
      'one way to tell an agent of it; others take command and arguments in a settings file',
    ],
  ],
  async run(given, context) {
    const opened = new Opened();
    // The agent is answered while models load; its calls wait.
    const service: Promise<Service> = openService(given, context, opened);
    const left = new AbortController();
    const signal = AbortSignal.any([context.signal, left.signal]);
    service.catch(() => left.abort());
    try {
      await serveMcpOverStdio(() => service, signal, warnOnce(context));
      await service;
    } finally {
      await service.catch(() => {});
      await opened.close();
    }
  },
});
