import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An OpenAI-compatible server that gives equal answers to equal questions: chat completions and embeddings. */
export async function startModelServer(): Promise<{ url: string; readonly chats: number; close(): void }> {
  let chats = 0;
  const server = createServer(async (request, response) => {
    const body = JSON.parse((await textOf(request)) || '{}');
    if (request.url!.endsWith('/chat/completions')) chats++;
    const answer = request.url!.endsWith('/embeddings')
      ? { data: body.input.map((text: string, index: number) => ({ index, embedding: vectorOf(text) })), usage: USAGE }
      : request.url!.endsWith('/models')
        ? { data: [{ id: 'm' }] }
        : { id: 'x', model: 'm', choices: choicesOf(body), usage: USAGE };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    get chats() {
      return chats;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

const USAGE = { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 };
const WORDS = 'saw lagoon water sea blade metal ice fire moon bee honey wax glass tide'.split(' ');

async function textOf(request: IncomingMessage): Promise<string> {
  return Buffer.concat(await request.toArray()).toString();
}

function bytesOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function vectorOf(text: string): number[] {
  return [...bytesOf(text).subarray(0, 8)].map((byte) => byte - 127.5);
}

/** Depends only on the question: a resumed run requests the missing texts in other groups and with other seeds. */
function choicesOf({ messages, n = 1, temperature }: { messages: unknown; n?: number; temperature: number }) {
  const bytes = bytesOf(JSON.stringify([messages, temperature]));
  const content = [...bytes.subarray(0, 6)].map((byte) => WORDS[byte % WORDS.length]).join(' ');
  return Array.from({ length: n }, (_, index) => ({
    ...{ index, finish_reason: 'stop', message: { role: 'assistant', content } },
  }));
}
