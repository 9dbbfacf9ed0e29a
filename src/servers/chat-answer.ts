import { oneLine } from './answer-words.ts';
import { ServerFault } from './server-fault.ts';

/** One text of a chat completion. */
export interface ChatChoice {
  text: string;
  /** What the model thought before it wrote, where the server keeps that apart. */
  reasoning: string;
  finish: 'stop' | 'length';
}

export interface ChatAnswer {
  /** In the order of their index; at least one. */
  choices: ChatChoice[];
  /** 0 where the server does not say, or says what is no count. */
  promptTokens: number;
  completionTokens: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** What servers call an end at the limit on tokens: OpenAI, Mistral, TGI, Gemini. */
const CUT = new Set(['length', 'model_length', 'max_tokens', 'max_output_tokens', 'max_length']);

/**
 * Reads a chat completion. Text that is there is taken, whatever is missing around it.
 * @throws ServerFault for an answer that holds no choice, with what the server says of it
 */
export function readChatAnswer(body: unknown): ChatAnswer {
  const { choices: given, usage } = isFields(body) ? body : {};
  const choices = (Array.isArray(given) ? given : []).filter(isFields).filter((choice) => !failed(choice));
  if (choices.length === 0) throw withoutChoice(body, given);
  const counts = isFields(usage) ? usage : {};
  return {
    choices: inOrder(choices).map(readChoice),
    promptTokens: countOf(counts.prompt_tokens),
    completionTokens: countOf(counts.completion_tokens),
  };
}

/** A choice that ended in an error: what it holds, if anything, was cut by that. */
function failed(choice: Fields): boolean {
  return Boolean(choice.error) && (choice.finish_reason === 'error' || readChoice(choice).text.trim() === '');
}

function withoutChoice(body: unknown, choices: unknown): ServerFault {
  const broken = Array.isArray(choices) ? choices.find((choice) => isFields(choice) && choice.error) : undefined;
  if (broken !== undefined) return new ServerFault('refused', 'a choice with an error', { status: 200, body: broken });
  const saysWhy = isFields(body) && (body.error || body.object === 'error' || body.type === 'error' || body.detail);
  const inList = Array.isArray(body) && isFields(body[0]) && body[0].error;
  // `message` alone says something, but so does a model's own format.
  const words = isFields(body) && choices == null && typeof body.message === 'string' && !('done' in body);
  if (saysWhy || inList || words) return new ServerFault('refused', 'an error under status 200', { status: 200, body });
  const shown = oneLine(JSON.stringify(body)?.slice(0, 300) ?? 'nothing', 160);
  if (Array.isArray(choices))
    throw new ServerFault('broken', `the server answered without a text: ${shown}`, { status: 200 });
  return new ServerFault('foreign', `answered something that is no chat completion: ${shown}`, {
    status: 200,
  });
}

/** By their index where each has one of its own. */
function inOrder(choices: Fields[]): Fields[] {
  const places = choices.map(({ index }) => index);
  const usable =
    places.every((place) => Number.isInteger(place) && Number(place) >= 0) && new Set(places).size === places.length;
  return usable ? [...choices].sort((a, b) => Number(a.index) - Number(b.index)) : choices;
}

function readChoice(choice: Fields): ChatChoice {
  const message = [choice.message, choice.delta].find(isFields) ?? {};
  const content = message.content ?? choice.text;
  const reason = String(choice.finish_reason ?? choice.stop_reason ?? '').toLowerCase();
  const reasoning = [message.reasoning_content, message.reasoning].find((one) => typeof one === 'string' && one !== '');
  return {
    text: wellFormed(textOf(content, isText)),
    reasoning: wellFormed(typeof reasoning === 'string' ? reasoning : textOf(content, isThought)),
    finish: CUT.has(reason) ? 'length' : 'stop',
  };
}

const isThought = ({ type }: Fields): boolean => type === 'thinking' || type === 'reasoning';
const isText = (part: Fields): boolean => !isThought(part);

/** Content is a text, or a list of parts, some of which hold lists of their own. */
function textOf(content: unknown, wanted: (part: Fields) => boolean): string {
  if (typeof content === 'string') return wanted({ type: 'text' }) ? content : '';
  const parts = Array.isArray(content) ? content : isFields(content) ? [content] : [];
  return parts.map((part) => (typeof part === 'string' ? textOf(part, wanted) : partText(part, wanted))).join('');
}

function partText(part: unknown, wanted: (part: Fields) => boolean): string {
  if (!isFields(part) || !wanted(part)) return '';
  const inner = part.text ?? part.thinking ?? part.content ?? part.reasoning;
  return typeof inner === 'string' ? inner : textOf(inner, () => true);
}

/** Half a surrogate pair cannot be written as UTF-8. */
function wellFormed(text: string): string {
  return text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, '\uFFFD');
}

/** A count that cannot be one is not known. */
function countOf(value: unknown): number {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : 0;
}

function isFields(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
