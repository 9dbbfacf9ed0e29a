import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { type Behaviour, type ChatCall, ChatServer, refusal, textFor } from '../../test/support/chat-server.ts';
import { AbortedError, NetworkError, SILENT, UsageError } from '../system/index.ts';
import type { Generation, GenerationRequest, Sampling } from './generator.ts';
import { connectGenerator, type ServerOptions } from './server-generator.ts';

const servers: ChatServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function serve(behaviour?: Behaviour, models?: string[]): Promise<ChatServer> {
  const server = await ChatServer.start(behaviour, models);
  servers.push(server);
  return server;
}

function requestsFor(count: number, sampling: Partial<Sampling> = {}): GenerationRequest[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `r${index}`,
    messages: [{ role: 'user', content: `query ${Math.floor(index / 2)}` }],
    sampling: { temperature: 1, topP: 0.9, topK: 0, maxTokens: 20, ...sampling },
    seed: index,
  }));
}

function expectWhole(generations: Generation[], requests: GenerationRequest[]): void {
  const texts = Object.fromEntries(generations.map(({ id, text }) => [id, text]));
  const wanted = requests.map(({ id, messages, seed }) => [id, textFor(messages[0]!.content, seed)]);
  expect(generations).toHaveLength(requests.length);
  expect(texts).toEqual(Object.fromEntries(wanted));
}

async function ask(options: ServerOptions, requests: GenerationRequest[], signal?: AbortSignal): Promise<Generation[]> {
  const generator = await connectGenerator(options);
  const generations: Generation[] = [];
  for await (const generation of generator.generate(requests, signal)) generations.push(generation);
  return generations;
}

async function faultOf(behaviour: Behaviour, options: Partial<ServerOptions> = {}, sampling: Partial<Sampling> = {}) {
  const server = await serve(behaviour);
  const asked = ask({ baseUrls: [server.baseUrl], retries: 1, ...options }, requestsFor(1, sampling));
  const error = await asked.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { error: error as NetworkError, server };
}

const withLogprobs = (values: number[]) => {
  return {
    index: 0,
    message: { content: 'x' },
    finish_reason: 'stop',
    logprobs: { content: values.map((logprob) => ({ token: 'x', logprob })) },
  };
};

describe('log-probabilities', () => {
  const answered =
    (body: unknown) =>
    async (options: Partial<ServerOptions> = { logProbabilities: true }) => {
      const server = await serve(() => ({ status: 200, body }));
      const [generation] = await ask({ baseUrls: [server.baseUrl], ...options }, requestsFor(1));
      return { generation, call: server.calls[0]! };
    };

  it('are asked for, and become the mean of the text', async () => {
    const { generation, call } = await answered({ choices: [withLogprobs([-1, -2, 0])] })();
    expect(call.logprobs).toBe(true);
    expect(generation!.logProbability).toBe(-1);
  });

  it('are not asked for by default', async () => {
    const { generation, call } = await answered({ choices: [withLogprobs([])] })({});
    expect(call).not.toHaveProperty('logprobs');
    expect(generation).not.toHaveProperty('logProbability');
  });

  it.each([[[]], [[-1, Number.NaN]], [[0.5]]])('%j are none', async (values) => {
    const { generation } = await answered({ choices: [withLogprobs(values)] })();
    expect(generation).not.toHaveProperty('logProbability');
  });

  it('are put together from a stream', async () => {
    const event = (content: string, logprob: number) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, logprobs: { content: [{ logprob }] } }] })}\n\n`;
    const end = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\ndata: [DONE]\n\n`;
    const { generation } = await answered(`${event('a', -1)}${event('b', -3)}${end}`)();
    expect(generation).toMatchObject({ text: 'ab', logProbability: -2 });
  });

  it('are left out for a server that refuses them', async () => {
    const server = await serve((call) =>
      'logprobs' in call ? refusal(400, 'Unknown parameter: logprobs') : undefined,
    );
    const generations = await ask({ baseUrls: [server.baseUrl], logProbabilities: true }, requestsFor(2));
    expectWhole(generations, requestsFor(2));
    expect(server.calls.filter((call) => 'logprobs' in call).length).toBeLessThanOrEqual(2);
  });
});

describe('connectGenerator', () => {
  it('sends what the request says, and uses the only model', async () => {
    const server = await serve();
    const requests = requestsFor(10);
    const generations = await ask({ baseUrls: [server.baseUrl], concurrency: 3 }, requests);
    expectWhole(generations, requests);
    expect(generations[0]).toMatchObject({ finish: 'stop', promptTokens: 7, completionTokens: 5 });
    expect(server.calls[0]).toMatchObject({
      model: 'toy',
      temperature: 1,
      top_p: 0.9,
      top_k: 0,
      min_p: 0,
      max_tokens: 20,
      samplers: ['temperature', 'top_k', 'top_p'],
    });
    expect(server.widest).toBeLessThanOrEqual(3);
  });

  it('keeps as many calls in progress as allowed, and pulls a request only when there is room', async () => {
    let pulled = 0;
    function* requests() {
      for (const request of requestsFor(12)) {
        pulled++;
        yield request;
      }
    }
    let answered = 0;
    let ahead = 0;
    let held: (() => void)[] = [];
    const server = await serve(async () => {
      ahead = Math.max(ahead, pulled - answered);
      // Four calls are answered together, when the fourth has arrived.
      await new Promise<void>((answer) => {
        held.push(answer);
        if (held.length < 4) return;
        for (const one of held) one();
        held = [];
      });
      answered++;
      return undefined;
    });
    const generator = await connectGenerator({ baseUrls: [server.baseUrl], concurrency: 4 });
    let count = 0;
    for await (const _generation of generator.generate(requests())) count++;
    expect(count).toBe(12);
    expect(server.widest).toBe(4);
    expect(ahead).toBe(4);
  });

  it('repeats a call after 429, at the time that the server names', async () => {
    const times: number[] = [];
    const server = await serve((_call, number) => {
      times.push(performance.now());
      return number === 0 ? refusal(429, 'slow down', { 'retry-after': '0.3' }) : undefined;
    });
    const requests = requestsFor(1);
    expectWhole(await ask({ baseUrls: [server.baseUrl] }, requests), requests);
    expect(times[1]! - times[0]!).toBeGreaterThan(290);
  });

  it('retries after a failure as often as usual, however often a document was cut before', async () => {
    const server = await serve(({ messages }, number) => {
      if (messages[0]!.content.length > 200) return refusal(400, "exceeds the model's maximum context");
      return number < 9 ? refusal(503, 'restarting', { 'retry-after-ms': '1' }) : undefined;
    });
    const messagesWith = (content: string) => [{ role: 'user' as const, content }];
    const text = 'x'.repeat(1000);
    const request = { ...requestsFor(1)[0]!, messages: messagesWith(text), cuttable: { text, messagesWith } };
    const [generation] = await ask({ baseUrls: [server.baseUrl], retries: 3 }, [request]);
    expect(generation).toMatchObject({ promptCut: true });
    expect(server.calls).toHaveLength(6 + 3 + 1);
  });

  it('shares the load between two servers', async () => {
    const slow: Behaviour = async () => {
      await sleep(20);
      return undefined;
    };
    const [one, two] = [await serve(slow), await serve(slow)];
    const requests = requestsFor(20);
    const generations = await ask({ baseUrls: [one.baseUrl, two.baseUrl], concurrency: 4, model: 'toy' }, requests);
    expectWhole(generations, requests);
    expect(Math.min(one.calls.length, two.calls.length)).toBeGreaterThan(5);
  });

  it('continues with the other server when one dies midway', async () => {
    const dying = await serve((_call, number, _request, response) => {
      if (number >= 3) response.destroy();
      return undefined;
    });
    const living = await serve();
    const requests = requestsFor(30);
    const generations = await ask(
      { baseUrls: [dying.baseUrl, living.baseUrl], concurrency: 4, model: 'toy' },
      requests,
    );
    expectWhole(generations, requests);
    expect(living.calls.length).toBeGreaterThan(20);
  });

  it('uses a server again that was gone for a while', async () => {
    const server = await serve((_call, number) => (number === 0 ? refusal(503, 'loading') : undefined));
    const requests = requestsFor(3);
    expectWhole(await ask({ baseUrls: [server.baseUrl], concurrency: 1 }, requests), requests);
  });

  it('requests all samples of a prompt in one call with useN, and repeats the call if there were too few', async () => {
    const server = await serve((call, number) => {
      if (number !== 0) return undefined;
      const choices = [{ index: 0, message: { content: textFor('query 0', call.seed) }, finish_reason: 'length' }];
      return { status: 200, body: { choices } };
    });
    const generations = await ask({ baseUrls: [server.baseUrl], useN: true, concurrency: 1 }, requestsFor(6));
    expect(generations.map(({ id }) => id).sort()).toEqual(['r0', 'r1', 'r2', 'r3', 'r4', 'r5']);
    expect(server.calls.map(({ n }) => n)).toEqual([2, undefined, 2, 2]);
    expect(generations[0]).toMatchObject({ id: 'r0', finish: 'length' });
  });

  it('requests samples one by one if a server ignores or refuses n', async () => {
    const deaf = await serve((call) => ({
      status: 200,
      body: { choices: [{ message: { content: textFor(call.messages[0]!.content, call.seed) } }] },
    }));
    const requests = requestsFor(16);
    expectWhole(await ask({ baseUrls: [deaf.baseUrl], useN: true, concurrency: 1 }, requests), requests);
    expect(deaf.calls).toHaveLength(16);
    expect(deaf.calls.filter(({ n }) => n !== undefined)).toHaveLength(3);
    const strict = await serve((call) => (call.n === undefined ? undefined : refusal(400, '`n` must be 1 here')));
    expectWhole(await ask({ baseUrls: [strict.baseUrl], useN: true, concurrency: 2 }, requests), requests);
    expect(strict.calls.filter(({ n }) => n !== undefined).length).toBeLessThanOrEqual(2);
  });

  it('cuts only the document, until the server accepts the prompt', async () => {
    const server = await serve((call) =>
      call.messages[0]!.content.length > 100 ? refusal(400, 'This exceeds the maximum context length') : undefined,
    );
    const document = 'a\u{1F600}'.repeat(100);
    const messagesWith = (text: string) => [{ role: 'user' as const, content: `Read: ${text} Answer:` }];
    const [request] = requestsFor(1);
    const whole = { ...request!, messages: messagesWith(document) };
    const [generation] = await ask({ baseUrls: [server.baseUrl], model: 'toy' }, [
      { ...whole, cuttable: { text: document, messagesWith } },
    ]);
    expect(generation).toMatchObject({ promptCut: true });
    const sent = server.calls.at(-1)!.messages[0]!.content;
    expect(sent).toMatch(/^Read: (a\u{1F600})+a? Answer:$/u);
    expect(sent.length).toBeGreaterThan(70);
    const calls = server.calls.length;
    const hopeless = { text: document, messagesWith: () => messagesWith('x'.repeat(200)) };
    const [empty] = await ask({ baseUrls: [server.baseUrl], model: 'toy' }, [{ ...whole, cuttable: hopeless }]);
    expect(empty).toMatchObject({ text: '', promptTooLong: true });
    expect(server.calls.length - calls).toBeLessThan(25);
  });

  it.each([
    ['one sample per call', {}],
    ['all samples in one call', { useN: true }],
  ])('skips prompts that are too long, writes the others, and quotes the server once: %s', async (_name, options) => {
    const server = await serve((call) => {
      const { content } = call.messages[0]!;
      const row = Number(content.slice('query '.length));
      return row % 2 === 1 ? refusal(400, `maximum context length is 64, not ${row + 100}`) : undefined;
    });
    const warnings: string[] = [];
    const progress = { ...SILENT, warn: (message: string) => void warnings.push(message) };
    const requests = requestsFor(12);
    const generations = await ask({ baseUrls: [server.baseUrl], progress, concurrency: 2, ...options }, requests);
    const skipped = generations.filter(({ promptTooLong }) => promptTooLong);
    expect(skipped.map(({ id }) => id).sort()).toEqual(['r10', 'r11', 'r2', 'r3', 'r6', 'r7']);
    for (const one of skipped) expect(one).toMatchObject({ text: '', completionTokens: 0 });
    const written = generations.filter(({ text }) => text !== '');
    expect(written.map(({ id }) => id).sort()).toEqual(['r0', 'r1', 'r4', 'r5', 'r8', 'r9']);
    expect(warnings).toEqual([expect.stringMatching(/do not fit the model's context: maximum context length is 64/)]);
  });

  it("learns a server's names for the settings", async () => {
    const server = await serve((call) => {
      if ('max_tokens' in call) return refusal(400, "Unsupported parameter: use 'max_completion_tokens' instead.");
      return 'top_k' in call ? refusal(400, 'Unrecognized request argument supplied: top_k') : undefined;
    });
    const requests = requestsFor(8);
    expectWhole(await ask({ baseUrls: [server.baseUrl], concurrency: 4, retries: 0 }, requests), requests);
    expect(server.calls.at(-1)).toMatchObject({ max_completion_tokens: 20 });
    expect(server.calls.at(-1)).not.toHaveProperty('samplers');
  });

  it('has a fingerprint that covers the model and the extra settings', async () => {
    const server = await serve();
    const print = async (options: Partial<ServerOptions>) =>
      (await connectGenerator({ baseUrls: [server.baseUrl], ...options })).fingerprint;
    expect(await print({})).toBe(await print({ model: 'toy', concurrency: 2 }));
    expect(await print({})).not.toBe(await print({ model: 'other' }));
    expect(await print({})).not.toBe(await print({ extraBody: { chat_template_kwargs: { enable_thinking: false } } }));
  });

  it('follows a text as it grows, and ends it with what is written when it is told to', async () => {
    const words = ['Stone ', 'bridges ', 'are ', 'old.'];
    const isFollowed = (call: ChatCall) => call.stream === true;
    const server = await serve(async (call, _number, _request, response) => {
      if (!isFollowed(call)) return undefined;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const content of words) {
        const event = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\r\n\r\n`;
        // The network cuts where it likes.
        response.write(event.slice(0, 9));
        await sleep(5);
        response.write(event.slice(9));
        await sleep(5);
      }
      response.end('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
    });
    const seen: string[] = [];
    const stop = new AbortController();
    const [first, second, third] = requestsFor(3);
    const generations = await ask({ baseUrls: [server.baseUrl], useN: true }, [
      { ...first!, onText: (text) => seen.push(text) },
      { ...second!, until: stop.signal, onText: (text) => text.endsWith('bridges ') && stop.abort() },
      third!,
    ]);
    expect(seen).toEqual(['Stone ', 'Stone bridges ', 'Stone bridges are ', 'Stone bridges are old.']);
    const byId = new Map(generations.map((generation) => [generation.id, generation]));
    expect(byId.get('r0')).toMatchObject({ text: 'Stone bridges are old.', finish: 'stop' });
    expect(byId.get('r1')).toMatchObject({ text: 'Stone bridges ', stopped: true });
    expect(byId.get('r2')).toMatchObject({ text: textFor('query 1', 2) });
    expect(server.calls.map((call) => isFollowed(call)).sort()).toEqual([false, true, true]);
  });

  it('ends a text that no server has begun to write', async () => {
    const server = await serve(() => sleep(60_000, undefined, { ref: false }));
    const [request] = requestsFor(1);
    const [nothing] = await ask({ baseUrls: [server.baseUrl] }, [{ ...request!, until: AbortSignal.timeout(30) }]);
    expect(nothing).toMatchObject({ text: '', stopped: true });
    expect(nothing!.milliseconds).toBeLessThan(30_000);
  });

  it('stops in the middle of calls', async () => {
    const controller = new AbortController();
    const server = await serve(async () => {
      controller.abort();
      await sleep(60_000, undefined, { ref: false });
      return undefined;
    });
    const startedAt = performance.now();
    await expect(ask({ baseUrls: [server.baseUrl] }, requestsFor(40), controller.signal)).rejects.toThrow(AbortedError);
    expect(performance.now() - startedAt).toBeLessThan(20_000);
  });
});

describe('faults of servers', () => {
  it('an address where nothing listens', async () => {
    const server = await serve();
    await server.stop();
    const error: unknown = await ask({ baseUrls: [server.baseUrl], model: 'toy', retries: 0 }, requestsFor(1)).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(NetworkError);
    expect(error).toMatchObject({ id: 'r0', fix: expect.stringMatching(/server runs/) });
  });

  it('addresses where nothing ever listened: within seconds', async () => {
    const server = await serve();
    await server.stop();
    const startedAt = performance.now();
    const forbidden = ask({ baseUrls: ['http://127.0.0.1:9'], model: 'toy' }, requestsFor(1));
    await expect(forbidden).rejects.toThrow(/cannot be reached/);
    const asked = ask({ baseUrls: [server.baseUrl, 'http://nowhere.invalid'], model: 'toy' }, requestsFor(20));
    await expect(asked).rejects.toThrow(/cannot be reached/);
    expect(performance.now() - startedAt).toBeLessThan(12_000);
  });

  it('is patient with a server that answered once, until it is back', async () => {
    const server = await ChatServer.start();
    const port = Number(new URL(server.baseUrl).port);
    const generator = await connectGenerator({ baseUrls: [server.baseUrl], model: 'toy', concurrency: 1 });
    const requests = requestsFor(2);
    const generations: Generation[] = [];
    for await (const generation of generator.generate(requests)) {
      generations.push(generation);
      if (generations.length > 1) break;
      await server.stop();
      // Longer than the time after which an address where nothing ever listened is given up.
      setTimeout(async () => servers.push(await ChatServer.start(undefined, ['toy'], port)), 1600);
    }
    expectWhole(generations, requests);
  });

  it.each([
    ['a wrong key', refusal(401, 'Incorrect API key'), /OPENAI_API_KEY/],
    ['an unknown model', refusal(404, 'The model `toy` does not exist'), /knows the model "toy"/],
    ['a used-up quota', refusal(429, 'You exceeded your quota', {}, 'insufficient_quota'), /quota/],
    ['an answer of another kind', { status: 200, body: '<html>hello</html>' }, /usually ends in \/v1/],
  ])('%s: at once, with a fix', async (_name, reply, fix) => {
    const { error, server } = await faultOf(() => reply);
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.fix).toMatch(fix);
    expect(error.id).toBe('r0');
    expect(server.calls).toHaveLength(1);
  });

  it.each([
    ['too many requests', refusal(429, 'slow down', { 'retry-after-ms': '1' }), /--concurrency/],
    ['an answer without choices', { status: 200, body: { choices: [] }, headers: { 'retry-after-ms': '1' } }, /log/],
    ['a broken server', refusal(500, 'boom', { 'retry-after-ms': '1' }), /log/],
  ])('%s: after all attempts', async (_name, reply, fix) => {
    const { error, server } = await faultOf(() => reply, { retries: 2 });
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.fix).toMatch(fix);
    expect(server.calls).toHaveLength(3);
  });

  it('a server that does not answer in time', async () => {
    const hang: Behaviour = async () => {
      await sleep(60_000, undefined, { ref: false });
      return undefined;
    };
    const { error } = await faultOf(hang, { timeoutSeconds: 0.1, retries: 0 });
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.message).toMatch(/in time/);
  });

  it('top-k on a server that does not support it', async () => {
    const { error } = await faultOf(() => refusal(400, 'Unknown parameter: top_k'), {}, { topK: 5 });
    expect(error).toBeInstanceOf(UsageError);
  });

  it('returns what other calls finished before it fails', async () => {
    const server: ChatServer = await serve(async (_call, number) => {
      while (server.calls.length < 3) await sleep(5);
      if (number === 1) return refusal(401, 'expired');
      await sleep(500);
      return undefined;
    });
    const generator = await connectGenerator({ baseUrls: [server.baseUrl], concurrency: 3 });
    const kept: string[] = [];
    const reading = (async () => {
      for await (const { id } of generator.generate(requestsFor(30))) kept.push(id);
    })();
    await expect(reading).rejects.toThrow(/401/);
    expect(kept.sort()).toEqual(['r0', 'r2']);
  });

  it('several models and no --model', async () => {
    const server = await serve(undefined, ['a', 'b']);
    await expect(connectGenerator({ baseUrls: [server.baseUrl] })).rejects.toMatchObject({
      name: 'UsageError',
      fix: expect.stringMatching(/a, b/),
    });
  });
});
