import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { LOG_FORMATS, listen, openMcpEndpoint } from '../../serve/index.ts';
import { checkSecret, keepSecret, systemFault, UsageError } from '../../system/index.ts';
import { defineCommand } from '../command.ts';
import { HintingLog } from '../hinting-log.ts';
import { Opened, openService, serviceOptions, warnOnce } from '../open-service.ts';
import { outliveOutput } from '../output-streams.ts';

const options = z.object({
  host: z
    .string()
    .default('127.0.0.1')
    .describe('address to listen on; 0.0.0.0 lets other machines in (then use --api-key-file)')
    .meta({ valueName: 'ADDRESS' }),
  port: z.coerce.number().int().min(0).max(65_535).default(8090).describe('port to listen on; 0: any that is free'),
  apiKeyFile: z
    .string()
    .optional()
    .describe('file with the key that clients must send as `Authorization: Bearer KEY`')
    .meta({ valueName: 'FILE' }),
  mostRequests: z.coerce.number().int().min(1).default(512).describe('requests at once; others get status 429'),
  cors: z
    .array(z.string().refine((origin) => origin === '*' || isOrigin(origin), 'is no origin like https://example.org'))
    .default([])
    .describe('origin whose pages may call the server from a browser, or * for all (default: none)')
    .meta({ valueName: 'ORIGIN' }),
  logFormat: z
    .enum(LOG_FORMATS)
    .default('json')
    .describe('one line on stdout for each request: id, route, status, milliseconds, expansion, tokens'),
  logTexts: z.boolean().default(false).describe('log queries and their expansions, too'),
  mcp: z
    .boolean()
    .default(false)
    .describe('answer agents under /mcp, too (needs the package @modelcontextprotocol/server)'),
  ...serviceOptions,
});

/** Requests in flight have this long when the server is told to end. */
const DRAIN_MS = 10_000;

export const command = defineCommand({
  name: 'serve',
  summary: 'answer over HTTP: embeddings of expanded queries, search, expansions',
  description:
    'Speaks the API of OpenAI embeddings (/v1/embeddings), of Text Embeddings Inference (/embed) and of Weaviate (/vectors), and its own\n/search and /expand; /openapi.json describes them. A text is a document, and embedded as it is, unless the request says that it is a\nquery: input_type, prompt_name, task or task_type, a model name that ends in -query, or the base URL /query/v1. An LLM that is slow\nor fails never fails a request: what it has written counts, else the query is embedded as it is.',
  options,
  examples: [
    ['llm-qe serve --index docs.jsonl', 'search your own corpus, with the default models'],
    [
      'llm-qe serve --index docs.jsonl --gate gate.json',
      'a gate decides for each query whether, and how much, to expand',
    ],
    [
      'llm-qe serve --upstream http://localhost:8080 --upstream-model bge-small --generator http://localhost:8000',
      'in front of your own embedding server: keep your index, and let queries be expanded',
    ],
    [
      'llm-qe serve --index docs.jsonl --mcp',
      'agents find the tools search, expand and compare at http://127.0.0.1:8090/mcp',
    ],
    [
      `curl -s http://127.0.0.1:8090/v1/embeddings -H 'content-type: application/json' -d '{"model": "any-query", "input": "how do I rotate a key"}'`,
      'a query, from the shell',
    ],
  ],
  graceMilliseconds: DRAIN_MS + 2000,
  async run(given, context) {
    const key = given.apiKeyFile === undefined ? undefined : await readKey(given.apiKeyFile);
    const opened = new Opened();
    outliveOutput();
    const log = new HintingLog({ format: given.logFormat, texts: given.logTexts, stream: process.stdout }, (line) =>
      context.warn(line),
    );
    const { host, port, cors, mostRequests } = given;
    const guard = { host, hasKey: key !== undefined, origins: cors };
    const mcp = given.mcp ? opened.add(await openMcpEndpoint(guard)) : undefined;
    let service: Parameters<typeof listen>[0]['service'] = () => undefined;
    const listening = await listen({
      ...{ host, port, apiKey: key, mostRequests, cors, mcp, log },
      ...{ service: () => service(), onError: warnOnce(context) },
    });
    try {
      const ready = await openService(given, context, opened);
      service = () => ready;
      process.stderr.write(`listening on ${listening.url}\n`);
      await fired(context.signal);
      process.stderr.write('stopping: requests in flight are answered first\n');
      service = () => undefined;
    } finally {
      await listening.close(DRAIN_MS);
      await opened.close();
    }
  },
});

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

async function readKey(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw systemFault(error, file);
  });
  const key = text.trim();
  if (key === '') throw new UsageError('holds no key', { file, fix: 'Write the key into the file.' });
  keepSecret(key);
  return checkSecret(key, `the key in ${file}`)!;
}

function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
