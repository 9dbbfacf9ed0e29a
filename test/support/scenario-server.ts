import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One call of a scenario. */
export interface ScenarioCall {
  /** Calls of this scenario before this one; questions for `/models` are not counted. */
  number: number;
  /** The path below the scenario's base address, and the query. */
  path: string;
  body: Record<string, unknown> & { input: string[]; messages: { content: string }[] };
  headers: IncomingMessage['headers'];
}

/** An answer: its status and what it holds (an object is sent as JSON, a text as it is), or a function that writes it itself. */
export type ScenarioReply =
  | { status?: number; body: unknown; type?: string; headers?: Record<string, string> }
  | ((response: ServerResponse) => void);

export type Scenario = (call: ScenarioCall) => ScenarioReply;

/** Answers like several OpenAI-compatible servers, over real HTTP: the scenario is the first part of the path. */
export class ScenarioServer {
  readonly #server: Server;
  readonly #calls = new Map<string, ScenarioCall[]>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(scenarios: Readonly<Record<string, Scenario>>): Promise<ScenarioServer> {
    const server = createServer();
    const started = new ScenarioServer(server);
    server.on('request', (request, response) => void started.#answer(request, response, scenarios));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return started;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The base address of a scenario. */
  at(name: string): string {
    return `${this.origin}/${name}/v1`;
  }

  calls(name: string): ScenarioCall[] {
    return this.#calls.get(name) ?? [];
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse, scenarios: Readonly<Record<string, Scenario>>) {
    const [, name = '', ...rest] = request.url!.split('/');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = `/${rest.join('/')}`;
    const scenario = scenarios[name];
    if (scenario === undefined) return send(response, { status: 404, body: { detail: 'Not Found' } });
    if (/\/models(\?|$)/.test(path)) return send(response, { body: { data: [{ id: 'm' }] } });
    const body = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    const known = this.#calls.get(name) ?? [];
    const call: ScenarioCall = { number: known.length, path, body, headers: request.headers };
    this.#calls.set(name, [...known, call]);
    send(response, scenario(call));
  }
}

function send(response: ServerResponse, reply: ScenarioReply): void {
  if (typeof reply === 'function') {
    reply(response);
    return;
  }
  const { status = 200, body, headers } = reply;
  const type = reply.type ?? (typeof body === 'string' && !/^[{[]/.test(body) ? 'text/plain' : 'application/json');
  response.writeHead(status, { 'content-type': type, ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** A chat completion, with more fields over it. */
export function chat(text: string, more: object = {}): ScenarioReply {
  const choice = { index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' };
  return { body: { choices: [choice], usage: { prompt_tokens: 9, completion_tokens: 5 }, ...more } };
}

/** A small vector that is decided by the text. */
export function vectorOf(text: string): number[] {
  const vector = [1, 0, 0, 0];
  for (const letter of text) vector[letter.charCodeAt(0) % 4]! += 1;
  return vector;
}

/** One vector for each text of the call. */
export function embeddings(
  { body }: ScenarioCall,
  vector: (text: string, index: number) => unknown = vectorOf,
): ScenarioReply {
  const data = body.input.map((text, index) => ({ object: 'embedding', index, embedding: vector(text, index) }));
  return { body: { object: 'list', data } };
}

/** Whether a call is the first of an encoder, which learns the width by it. */
export const isProbe = ({ body }: ScenarioCall): boolean => body.input[0] === 'dimensions';
