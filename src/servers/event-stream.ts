import { withUsualKeys } from './answer-words.ts';
import { ServerFault } from './server-fault.ts';

type Fields = Readonly<Record<string, unknown>>;

interface Growing {
  index: number;
  finish_reason: unknown;
  message: { content: unknown[]; reasoning_content: string };
  logprobs?: { content: unknown[] };
}

/** Whether an answer is a stream of events. Some servers send one whatever they were asked for. */
export function isEventStream(text: string): boolean {
  return /^(data:|event:|:|id:|retry:)/.test(text);
}

/**
 * Puts the events of a streamed chat completion together, as if it had come in one piece. An event that tells of an error stands for
 * the whole.
 * @throws ServerFault for a stream that breaks off
 */
export function readEventStream(text: string): unknown {
  return readEvents(parsed(dataOf(text)));
}

/** A streamed chat completion as it arrives. */
export class GrowingAnswer {
  readonly #decoder = new TextDecoder();
  readonly #choices = new Map<number, Growing>();
  /** What arrived of an event that is not yet whole. */
  #open = '';

  /** Takes the next bytes. @returns the texts so far, by index of the choice; undefined if they have not grown */
  push(bytes: Uint8Array): string[] | undefined {
    this.#open += this.#decoder.decode(bytes, { stream: true });
    const end = Math.max(this.#open.lastIndexOf('\n\n'), this.#open.lastIndexOf('\r\n\r\n'));
    if (end < 0) return undefined;
    const whole = this.#open.slice(0, end);
    this.#open = this.#open.slice(end).trimStart();
    let grew = false;
    for (const data of dataOf(whole)) {
      const { choices } = fieldsOf(data === '[DONE]' ? {} : parse(data));
      for (const choice of Array.isArray(choices) ? choices : []) add(choice, this.#choices);
      grew ||= Array.isArray(choices) && choices.length > 0;
    }
    return grew ? this.texts : undefined;
  }

  get texts(): string[] {
    const inOrder = [...this.#choices.values()].sort((a, b) => a.index - b.index);
    return inOrder.map(({ message }) => message.content.filter((piece) => typeof piece === 'string').join(''));
  }
}

/** The end of a stream. */
const END = Symbol('end');

/**
 * Puts parsed events together, as {@link readEventStream} does: also those of a body with one JSON object per line.
 * @throws ServerFault for a stream that breaks off
 */
export function readEvents(events: Iterable<unknown>): unknown {
  const choices = new Map<number, Growing>();
  let usage: unknown;
  let ended = false;
  for (const one of events) {
    if (one === END) {
      ended = true;
      break;
    }
    const event = fieldsOf(one);
    if (event.error || !('choices' in event)) return event;
    usage = event.usage ?? usage;
    for (const choice of Array.isArray(event.choices) ? event.choices : []) add(choice, choices);
  }
  const all = [...choices.values()];
  if (!ended && !(all.length > 0 && all.every(({ finish_reason }) => finish_reason != null))) throw broken();
  return { choices: all, usage };
}

/** What the events carry. Comments, which keep a connection open, are left out. */
function* dataOf(text: string): Generator<string> {
  for (const event of text.split(/\r?\n\r?\n/)) {
    const lines = event.split(/\r?\n/).filter((line) => line.startsWith('data:'));
    const data = lines.map((line) => line.slice(5).trimStart()).join('\n');
    if (data.trim() !== '') yield data.trim();
  }
}

function* parsed(data: Iterable<string>): Generator<unknown> {
  for (const one of data) yield one === '[DONE]' ? END : parse(one);
}

function parse(data: string): unknown {
  try {
    return withUsualKeys(JSON.parse(data));
  } catch {
    throw broken();
  }
}

function fieldsOf(event: unknown): Fields {
  return event !== null && typeof event === 'object' ? (event as Fields) : { error: event };
}

function add(choice: unknown, choices: Map<number, Growing>): void {
  if (choice === null || typeof choice !== 'object') return;
  const { index, delta, message, text, finish_reason, logprobs } = choice as Fields;
  const place = typeof index === 'number' ? index : 0;
  const whole = choices.get(place) ?? {
    ...{ index: place, finish_reason: null, message: { content: [], reasoning_content: '' } },
  };
  choices.set(place, whole);
  whole.finish_reason = finish_reason ?? whole.finish_reason;
  const piece = (delta ?? message ?? { content: text }) as Fields;
  const reasoning = piece.reasoning_content ?? piece.reasoning;
  if (typeof reasoning === 'string') whole.message.reasoning_content += reasoning;
  const tokens = (logprobs as Fields | null | undefined)?.content;
  if (Array.isArray(tokens)) whole.logprobs = { content: [...(whole.logprobs?.content ?? []), ...tokens] };
  if (piece.content != null) whole.message.content.push(...[piece.content].flat());
}

function broken(): ServerFault {
  return new ServerFault('cut', 'sent a stream that breaks off, or is damaged', { status: 200 });
}
