import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The body of a call, as far as the tests look at it. */
export interface ChatCall {
  model: string;
  messages: { role: string; content: string }[];
  seed: number;
  n?: number;
  [setting: string]: unknown;
}

/** What a test's server does with its n-th call (from 0); undefined answers normally. */
export type Behaviour = (
  call: ChatCall,
  number: number,
  request: IncomingMessage,
  response: ServerResponse,
) => Reply | undefined | Promise<Reply | undefined>;

export interface Reply {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

/** An OpenAI-compatible server on this machine, over real HTTP. */
export class ChatServer {
  readonly calls: ChatCall[] = [];
  readonly baseUrl: string;
  readonly #server: ReturnType<typeof createServer>;
  /** Most calls that were under way at once. */
  widest = 0;
  #open = 0;

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(behaviour: Behaviour = () => undefined, models = ['toy'], port = 0): Promise<ChatServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const started = new ChatServer(server);
    server.on('request', (request, response) => void started.#serve(request, response, behaviour, models));
    return started;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse, behaviour: Behaviour, models: string[]) {
    if (request.url === '/v1/models')
      return send(response, 200, { object: 'list', data: models.map((id) => ({ id })) });
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const call = JSON.parse(Buffer.concat(chunks).toString()) as ChatCall;
    const number = this.calls.push(call) - 1;
    this.widest = Math.max(this.widest, ++this.#open);
    const reply = (await behaviour(call, number, request, response)) ?? { status: 200, body: completion(call) };
    this.#open--;
    if (!response.destroyed && !response.headersSent) send(response, reply.status, reply.body, reply.headers);
  }
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) {
  const type = typeof body === 'string' ? 'text/html' : 'application/json';
  response.writeHead(status, { 'content-type': type, ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** A text that is decided by the last message and the seed. */
export function completion({ messages, seed, n = 1 }: ChatCall) {
  const choices = Array.from({ length: n }, (_, index) => ({
    index,
    message: { role: 'assistant', content: textFor(messages.at(-1)!.content, seed, index) },
    finish_reason: 'stop',
  }));
  return { choices, usage: { prompt_tokens: 7, completion_tokens: 5 * n } };
}

export function textFor(content: string, seed: number, index = 0): string {
  return `Here is a passage: on ${content} (${seed}${index === 0 ? '' : `, ${index}`})`;
}

export function refusal(status: number, message: string, headers: Record<string, string> = {}, code?: string): Reply {
  return { status, headers, body: { error: { message, type: 'error', ...(code && { code }) } } };
}
