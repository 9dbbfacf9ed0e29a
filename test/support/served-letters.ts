import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EncodeOptions, Encoder, TextRole } from '../../src/embed/index.ts';
import { connectGenerator } from '../../src/generate/index.ts';
import { defaultRetrievalSettings } from '../../src/retrieve/index.ts';
import {
  createExpander,
  type ExpanderOptions,
  type ListenOptions,
  listen,
  ServedIndex,
} from '../../src/serve/index.ts';
import { type Behaviour, ChatServer, type Reply } from './chat-server.ts';

/** Letters as vectors; queries and documents differ. A text has as many tokens as letters. */
export class LetterCounts implements Encoder {
  readonly id = 'letters';
  readonly fingerprint = 'letters';
  readonly dimensions = 3;
  readonly settings = {};
  /** Texts of the calls. */
  readonly calls: string[][] = [];
  /** Roles of the calls. */
  readonly roles: TextRole[] = [];
  /** Comes before each answer. */
  before: (texts: readonly string[], signal: AbortSignal | undefined) => unknown = () => {};

  async encode(texts: readonly string[], role: TextRole, options: EncodeOptions = {}): Promise<Float32Array> {
    this.calls.push([...texts]);
    this.roles.push(role);
    await this.before(texts, options.signal);
    for (const [row, text] of texts.entries()) options.onTokens?.(row, text.length);
    const count = (text: string, letter: string) => text.split(letter).length - 1;
    return Float32Array.from(texts.flatMap((text) => [count(text, 'a'), count(text, 'b'), role === 'query' ? 1 : 2]));
  }

  /** The texts that were embedded in a role, in any number of calls, sorted. */
  embedded(wanted: TextRole): string[] {
    return this.calls
      .filter((_texts, at) => this.roles[at] === wanted)
      .flat()
      .sort();
  }

  forget(): void {
    this.calls.length = this.roles.length = 0;
  }

  async close() {}
}

/** The vector of the query `aa` as it is, and that with the expansion `bbbb`. */
export const [RAW, EXPANDED] = [
  [2, 0, 1],
  [1, 2, 1],
];

/** An answer of a chat server. */
export const written = (content: string): Reply => ({
  status: 200,
  body: { choices: [{ message: { content } }], usage: { prompt_tokens: 3, completion_tokens: 4 } },
});

export type ServedLetters = Awaited<ReturnType<typeof serveLetters>>;

export interface ServedLettersOptions {
  /** Default: writes `bbbb`. */
  behaviour?: Behaviour;
  expander?: Partial<ExpanderOptions>;
  listen?: Partial<ListenOptions>;
  /** Texts of an index named `docs`, with the ids d0, d1 and so on. */
  documents?: readonly string[];
}

/** A server of letters, with an LLM beside it. */
export async function serveLetters({
  behaviour = () => written('bbbb'),
  documents,
  ...options
}: ServedLettersOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'served-letters-'));
  const chat = await ChatServer.start(behaviour);
  const generator = await connectGenerator({ baseUrls: [chat.baseUrl], retries: 0 });
  const encoder = new LetterCounts();
  const expander = createExpander({ encoder, generator, store: false, budgetMs: 2000, ...options.expander });
  const index = documents && (await openDocuments(folder, encoder, documents));
  const service = { expander, indexes: new Map(index && [['docs', index]]) };
  const server = await listen({ port: 0, service: () => service, ...options.listen });
  const send = (path: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) =>
    fetch(`${server.url}${path}`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
      ...{ body: typeof body === 'string' ? body : JSON.stringify(body), ...(signal && { signal }) },
    });
  return {
    ...{ url: server.url, encoder, expander, chat, service, send },
    /** The value of a metric with these labels, in the order in which they were declared. */
    async metric(name: string): Promise<number> {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      const line = text.split('\n').find((one) => one.startsWith(`${name} `));
      return line === undefined ? 0 : Number(line.slice(name.length + 1));
    },
    async close() {
      await server.close(100);
      await expander.close();
      await index?.close();
      await chat.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function openDocuments(folder: string, encoder: Encoder, documents: readonly string[]): Promise<ServedIndex> {
  const home = process.env.LLM_QE_HOME;
  process.env.LLM_QE_HOME = join(folder, 'home');
  try {
    const lines = documents.map((text, at) => `${JSON.stringify({ _id: `d${at}`, text })}\n`);
    await writeFile(join(folder, 'docs.jsonl'), lines.join(''));
    return await ServedIndex.open(join(folder, 'docs.jsonl'), encoder, defaultRetrievalSettings({ threads: 1 }));
  } finally {
    if (home === undefined) delete process.env.LLM_QE_HOME;
    else process.env.LLM_QE_HOME = home;
  }
}

/** An LLM that writes nothing until the caller leaves; `asked` and `left` say when. */
export function hangingLlm(): { behaviour: Behaviour; asked: Promise<void>; left: Promise<void> } {
  let [isAsked, hasLeft] = [() => {}, () => {}];
  const asked = new Promise<void>((resolve) => {
    isAsked = resolve;
  });
  const left = new Promise<void>((resolve) => {
    hasLeft = resolve;
  });
  const behaviour: Behaviour = async (_call, _number, _request, response) => {
    response.once('close', hasLeft);
    isAsked();
    await left;
    return undefined;
  };
  return { behaviour, asked, left };
}
