import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  connectGenerator,
  type Generation,
  type GenerationRequest,
  type ServerOptions,
} from '../../src/generate/index.ts';
import { LlmQeError, type Progress } from '../../src/system/index.ts';
import { chat, type Scenario, type ScenarioReply, ScenarioServer } from '../support/scenario-server.ts';

const TEXT = 'A tower whose lamp guides ships.';
const ok = chat(TEXT);
const refuse = (status: number, body: unknown, headers: Record<string, string> = {}): ScenarioReply => ({
  status,
  body,
  headers,
});
const choice = (more: object): ScenarioReply => ({ body: { choices: [more] } });
const WORDS = "This model's maximum context length is 512 tokens. However, you requested 2723 tokens.";
const isLong = (content: string) => content.length > 300;

/** The same message in the forms in which servers wrap it. */
const FORMS: Record<string, (words: string) => unknown> = {
  'an error object': (message) => ({ error: { message, type: 'BadRequestError', code: 400 } }),
  'a message (vLLM before .10)': (message) => ({ object: 'error', message, type: 'BadRequestError', code: 400 }),
  'an error that is a text (Ollama)': (error) => ({ error }),
  'a detail (FastAPI)': (detail) => ({ detail }),
  'a detail with places (FastAPI)': (msg) => ({ detail: [{ loc: ['body', 'messages'], msg, type: 'value_error' }] }),
  'a detail inside a message (Mistral)': (msg) => ({ object: 'error', message: { detail: [{ loc: ['body'], msg }] } }),
  'an error and its type (TEI)': (error) => ({ error, error_type: 'Validation' }),
  'a list of errors (Gemini)': (message) => [{ error: { code: 400, message, status: 'INVALID_ARGUMENT' } }],
  'JSON packed once more': (message) => ({ error: { message: JSON.stringify({ detail: message }) } }),
  'plain text': (words) => words,
  'a page': (words) => `<!DOCTYPE html><html><head><title>${words}</title></head><body><h1>400</h1></body></html>`,
};

const scenarios: Record<string, Scenario> = {};
/** Registers a scenario and returns its name. */
function scenario(behaviour: Scenario): string {
  const name = `s${Object.keys(scenarios).length}`;
  scenarios[name] = behaviour;
  return name;
}

let server: ScenarioServer;
beforeAll(async () => {
  server = await ScenarioServer.start(scenarios);
});
afterAll(() => server.stop());

const warnings: string[] = [];
const waits: string[] = [];
const progress: Progress = {
  task: (label, total) => {
    waits.push(`${label}: ${total}`);
    return { advance() {}, skip() {}, note() {}, done() {} };
  },
  warn: (line) => warnings.push(line),
};

function requestFor(content: string, sampling: Partial<GenerationRequest['sampling']> = {}): GenerationRequest {
  const messagesWith = (text: string) => [{ role: 'user' as const, content: text }];
  return {
    ...{ id: 'r0', messages: messagesWith(content), seed: 7 },
    sampling: { temperature: 1, topP: 0.9, topK: 0, maxTokens: 20, ...sampling },
    ...(isLong(content) && { cuttable: { text: content, messagesWith } }),
  };
}

async function ask(name: string, options: Partial<ServerOptions> = {}, ...requests: GenerationRequest[]) {
  const generator = await connectGenerator({
    baseUrls: [server.at(name)],
    model: 'm',
    progress,
    retries: 1,
    ...options,
  });
  const generations: Generation[] = [];
  const asked = requests.length === 0 ? [requestFor('What is a lighthouse?')] : requests;
  for await (const generation of generator.generate(asked)) generations.push(generation);
  return generations;
}

async function faultOf(name: string, options: Partial<ServerOptions> = {}, ...requests: GenerationRequest[]) {
  const error: unknown = await ask(name, options, ...requests).then(
    () => new Error('no fault'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LlmQeError);
  expect((error as Error).message.length).toBeLessThan(700);
  expect((error as Error).message).not.toContain('\n');
  return error as LlmQeError;
}

describe.each(Object.entries(FORMS))('a refusal as %s', (form, wrap) => {
  const quoted = scenario(() => refuse(422, wrap('the flux is not aligned')));
  const long = scenario(({ body }) => (isLong(body.messages[0]!.content) ? refuse(400, wrap(WORDS)) : ok));
  const single = scenario(({ body }) => (Number(body.n) > 1 ? refuse(400, wrap('`n` must be at most 1')) : ok));
  const extras = scenario(({ body }) =>
    'samplers' in body ? refuse(422, wrap('samplers: Extra inputs are not permitted')) : ok,
  );
  const nucleus = scenario(({ body }) =>
    'top_p' in body ? refuse(400, wrap("Unsupported parameter: 'top_p' is not supported with this model.")) : ok,
  );

  it('is quoted', async () => {
    const { message } = await faultOf(quoted);
    expect(message).toContain('the flux is not aligned');
    if (form === 'a page') expect(message).not.toContain('<');
  });

  it('leads to a cut document, one sample per call, omitted extras, and an error that names the option', async () => {
    const [cut] = await ask(long, {}, requestFor('x'.repeat(1000)));
    expect(cut).toMatchObject({ text: TEXT, promptCut: true });
    const two = ['r0', 'r1'].map((id) => ({ ...requestFor('?'), id }));
    expect(await ask(single, { useN: true }, ...two)).toHaveLength(2);
    expect(server.calls(single)).toHaveLength(3);
    expect(await ask(extras)).toMatchObject([{ text: TEXT }]);
    expect(await faultOf(nucleus)).toMatchObject({
      name: 'UsageError',
      message: expect.stringMatching(/--top-p 0\.9/),
      fix: expect.stringMatching(/--top-p 1/),
    });
  });
});

describe('a usable text is accepted', () => {
  const parts = (...content: unknown[]) => choice({ message: { content } });
  it.each<[string, ScenarioReply, Partial<Generation>]>([
    ['no usage', choice({ message: { content: TEXT } }), { promptTokens: 0, completionTokens: 0 }],
    ['usage null', chat(TEXT, { usage: null }), { promptTokens: 0 }],
    ['half a usage', chat(TEXT, { usage: { prompt_tokens: 5 } }), { promptTokens: 5, completionTokens: 0 }],
    [
      'half a token',
      chat(TEXT, { usage: { prompt_tokens: 1.5, completion_tokens: 4 } }),
      { promptTokens: 0, completionTokens: 4 },
    ],
    [
      'counts that are not valid',
      chat(TEXT, { usage: { prompt_tokens: -1, completion_tokens: '7' } }),
      { promptTokens: 0, completionTokens: 0 },
    ],
    ['usage that is a text', chat(TEXT, { usage: 'none' }), { promptTokens: 0 }],
    [
      'a usage of NaN',
      { body: JSON.stringify({ choices: [{ message: { content: TEXT } }], usage: 'X' }).replace('"X"', 'NaN') },
      {},
    ],
    ['an error next to it', chat(TEXT, { error: { message: 'a note', code: 500 } }), {}],
    ['an error that is null', chat(TEXT, { error: null, object: 'chat.completion' }), {}],
    [
      'content in parts',
      parts({ type: 'text', text: 'A tower whose ' }, { type: 'text', text: 'lamp guides ships.' }),
      {},
    ],
    ['content in bare texts', parts('A tower whose lamp ', 'guides ships.'), {}],
    [
      'a thought among the parts',
      parts({ type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] }, { type: 'text', text: TEXT }),
      { reasoning: 'Hm.' },
    ],
    ['a thought apart', choice({ message: { content: TEXT, reasoning_content: 'Hm.' } }), { reasoning: 'Hm.' }],
    ['a thought by another name', choice({ message: { content: TEXT, reasoning: 'Hm.' } }), { reasoning: 'Hm.' }],
    ['a text without a message', choice({ text: TEXT }), {}],
    ['no finish reason', choice({ message: { content: TEXT } }), { finish: 'stop' }],
    [
      'the limit by another name',
      choice({ message: { content: TEXT }, finish_reason: 'MAX_TOKENS' }),
      { finish: 'length' },
    ],
    ['an index that is not valid', choice({ index: -1, message: { content: TEXT } }), {}],
    [
      'another content type',
      { body: JSON.stringify({ choices: [{ message: { content: TEXT } }] }), type: 'text/plain' },
      {},
    ],
  ])('with %s', async (_name, reply, expected) => {
    expect(await ask(scenarioOf(reply))).toMatchObject([{ text: TEXT, ...expected }]);
  });

  it('with half a surrogate pair, which UTF-8 cannot represent', async () => {
    const name = scenarioOf({ body: '{"choices":[{"message":{"content":"A tower \\ud83d and \\ud83d\\ude00"}}]}' });
    expect(await ask(name)).toMatchObject([{ text: 'A tower \uFFFD and 😀' }]);
  });
});

/** Registers a scenario for a reply of a table while the server runs. */
function scenarioOf(...replies: ScenarioReply[]): string {
  return scenario(({ number }) => replies[Math.min(number, replies.length - 1)]!);
}

describe.concurrent('an error under status 200', () => {
  const soon = { 'retry-after-ms': '1' };
  it.each<[string, unknown]>([
    ['code 429', { choices: null, error: { message: 'Provider returned error', code: 429 } }],
    ['code 503 as a text', { error: { message: 'no room', code: '503' } }],
    ['the name of a limit', { error: { message: 'slow down', type: 'rate_limit_exceeded' } }],
    ['words alone', { error: 'model is overloaded, try again' }],
    [
      'a choice that failed',
      { choices: [{ error: { code: 502, message: 'gone' }, finish_reason: 'error', message: { content: 'A to' } }] },
    ],
  ])('is repeated: %s', async (_name, body) => {
    expect(await ask(scenarioOf({ body, headers: soon }, ok))).toMatchObject([{ text: TEXT }]);
  });

  it.each<[string, unknown, RegExp]>([
    ['a wrong key', { error: { message: 'bad key', code: 401 } }, /bad key/],
    ['an unknown model', { detail: 'no such model', status: 404 }, /404\): no such model/],
    ['a fault without a code', { choices: null, message: 'the flux is not aligned' }, /the flux/],
    ['the old form', { object: 'error', message: 'bad flux', code: 400 }, /bad flux/],
    [
      'raw words of a provider',
      { error: { message: 'Provider error', code: 400, metadata: { raw: 'bad flux' } } },
      /Provider error \(bad flux\)/,
    ],
  ])('is quoted at once: %s', async (_name, body, words) => {
    const name = scenarioOf({ body });
    expect((await faultOf(name, { retries: 5 })).message).toMatch(words);
    expect(server.calls(name)).toHaveLength(1);
  });

  it.each<[string, unknown, RegExp]>([
    ['no choice', { choices: [] }, /without a text/],
    ['another kind of answer', { hello: 'world' }, /not a chat completion: \{"hello":"world"\}/],
    ['a page', '<html><body>Log in</body></html>', /not JSON/],
    ['a bare text', 'It works!', /not JSON: It works!/],
  ])('quotes what came: %s', async (_name, body, words) => {
    expect((await faultOf(scenarioOf({ body }))).message).toMatch(words);
  });
});

describe.concurrent('an answer that breaks off', () => {
  const half = '{"choices":[{"message":{"content":"A tow';
  const cut: Record<string, ScenarioReply> = {
    'cut JSON': { body: half },
    'an empty answer': { body: '' },
    'an empty answer that is called JSON': { body: '', type: 'application/json' },
    'fewer bytes than were said': (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' });
      response.write(half);
      setTimeout(() => response.destroy(), 20);
    },
    'a chunk that never ends': (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write(half);
      setTimeout(() => response.destroy(), 20);
    },
    'no answer at all': (response) => void response.destroy(),
  };
  it.each(Object.entries(cut))('%s: is requested again, and is a network error', async (_name, reply) => {
    expect(await ask(scenarioOf(reply, ok))).toMatchObject([{ text: TEXT }]);
    expect(await faultOf(scenarioOf(reply))).toMatchObject({ name: 'NetworkError', id: 'r0' });
  });

  it.each<[string, (response: import('node:http').ServerResponse) => void]>([
    [
      'drips',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const timer = setInterval(() => response.write(' '), 30);
        response.on('close', () => clearInterval(timer));
      },
    ],
    ['hangs in the middle', (response) => void response.writeHead(200, { 'content-length': '100' }).write('{')],
    ['says nothing', () => {}],
  ])('one that %s is given up after --timeout', async (_name, reply) => {
    const { message } = await faultOf(scenarioOf(reply), { timeoutSeconds: 0.3, retries: 0 });
    expect(message).toMatch(/did not answer in time/);
  });

  it.each([200, 500])('one that never ends is read only up to the size limit (status %i)', async (status) => {
    let sent = 0;
    const name = scenarioOf((response) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      const block = Buffer.alloc(1 << 20, 'x');
      const more = () => {
        while (!response.destroyed && sent < 5e9) {
          sent += block.length;
          if (!response.write(block)) return void response.once('drain', more);
        }
      };
      more();
    });
    await faultOf(name, { retries: 0 });
    expect(sent).toBeLessThan(200e6);
  });
});

describe.concurrent('waiting as a server requests', () => {
  const limit = { error: { message: 'Rate limit reached' } };
  it.each(['3600', new Date(Date.now() + 3600e3).toUTCString(), '99999999999'])(
    'Retry-After: %s is not slept through',
    async (wait) => {
      const name = scenarioOf(refuse(429, limit, { 'retry-after': wait }));
      const error = await faultOf(name, { retries: 5 });
      expect(error.message).toMatch(/Rate limit reached; it requests a wait of [\d,]+ s/);
      expect(error.fix).toMatch(/--max-wait \d+/);
      expect(server.calls(name)).toHaveLength(1);
    },
  );

  it.each(['soon', '-5', '', '1e9', 'Thu, 01 Jan 1970 00:00:00 GMT', 'NaN'])(
    'Retry-After: %s is ignored',
    async (wait) => {
      const startedAt = performance.now();
      await ask(scenarioOf(refuse(429, limit, { 'retry-after': wait }), ok));
      const seconds = (performance.now() - startedAt) / 1000;
      expect(seconds).toBeGreaterThan(0.3);
      expect(seconds).toBeLessThan(20);
    },
  );

  it("obeys the caller's limit and shows the wait", async () => {
    const name = scenarioOf(refuse(503, limit, { 'retry-after': '3' }), ok);
    expect((await faultOf(name, { maxWaitSeconds: 2 })).message).toMatch(/requests a wait of 3 s/);
    waits.length = 0;
    await ask(scenarioOf(refuse(503, limit, { 'retry-after': '2' }), ok), { maxWaitSeconds: 2 });
    expect(waits).toEqual([expect.stringMatching(/^waiting for http.*: 2$/)]);
  });

  it('uses another server that has room', async () => {
    const full = scenarioOf(refuse(429, limit, { 'retry-after': '3600' }));
    const free = scenarioOf(ok);
    const baseUrls = [server.at(full), server.at(free)];
    expect(
      await ask(full, { baseUrls, concurrency: 1 }, ...['a', 'b', 'c'].map((id) => ({ ...requestFor('?'), id }))),
    ).toHaveLength(3);
    expect(server.calls(full)).toHaveLength(1);
  });
});

describe('settings that a model does not support', () => {
  const forbid = (name: string, words = `Unsupported parameter: '${name}' is not supported with this model.`) =>
    scenario(({ body }) => (name in body ? refuse(400, { error: { message: words, param: name } }) : ok));

  it.each<[string, string, Partial<GenerationRequest['sampling']>, RegExp | undefined]>([
    ['top_p at 1', forbid('top_p'), { topP: 1 }, /does not support top_p, which is omitted/],
    ['top_p if the most likely token is always taken', forbid('top_p'), { temperature: 0 }, /top_p/],
    ['temperature at 1', forbid('temperature'), {}, /does not support temperature/],
    ['seed', forbid('seed'), {}, /seed.*cannot be reproduced/],
    ['min_p, which only this package sends', forbid('min_p'), {}, undefined],
    ['top_k at 0', forbid('top_k', 'top_k: must be -1 or positive'), {}, undefined],
    ['max_tokens', forbid('max_tokens', "Unsupported parameter: use 'max_completion_tokens' instead."), {}, undefined],
  ])('%s is omitted, with a warning if it matters', async (_name, name, sampling, words) => {
    warnings.length = 0;
    const requests = ['a', 'b'].map((id) => ({ ...requestFor('?', sampling), id }));
    expect(await ask(name, { concurrency: 1 }, ...requests)).toHaveLength(2);
    expect(server.calls(name)).toHaveLength(3);
    expect(warnings).toEqual(words === undefined ? [] : [expect.stringMatching(words)]);
  });

  it.each<[string, string, Partial<GenerationRequest['sampling']>]>([
    ['--top-p', forbid('top_p'), { topP: 0.5 }],
    ['--temperature', forbid('temperature'), { temperature: 0.7 }],
    ['--temperature', forbid('temperature', '`temperature` must be strictly positive'), { temperature: 0 }],
    ['--top-k', forbid('top_k'), { topK: 5 }],
    [
      '--max-tokens',
      scenario(() =>
        refuse(400, {
          error: { message: 'max_tokens is too large: 20. This model supports at most 10 completion tokens.' },
        }),
      ),
      {},
    ],
  ])('otherwise the error names the option: %s', async (option, name, sampling) => {
    const error = await faultOf(name, { retries: 5 }, requestFor('?', sampling));
    expect(error.name).toBe('UsageError');
    expect(`${error.message} ${error.fix}`).toContain(option);
  });

  it('of two that are refused only together, the neutral one is omitted', async () => {
    const name = scenario(({ body }) =>
      'top_p' in body && 'temperature' in body
        ? refuse(400, { error: { message: '`temperature` and `top_p` cannot both be specified for this model.' } })
        : ok,
    );
    await ask(name);
    expect(server.calls(name).at(-1)!.body).toMatchObject({ top_p: 0.9 });
  });

  it('an extra field of the user is named', async () => {
    const name = forbid('chat_template_kwargs');
    const extraBody = { chat_template_kwargs: { enable_thinking: false } };
    expect((await faultOf(name, { extraBody })).message).toContain('chat_template_kwargs');
  });
});
