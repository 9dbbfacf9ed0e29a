import { isComplaint, oneLine } from './answer-words.ts';
import { ServerFault } from './server-fault.ts';

/** One text of a chat completion. */
export interface ChatChoice {
  text: string;
  /** The model's thoughts, if the server returns them apart from the text. */
  reasoning: string;
  finish: 'stop' | 'length';
  /** Whether a content filter withheld or cut the text, or the model refuses in the field made for that. */
  filtered: boolean;
  /** Mean log-probability of the tokens, if the server gives those of all of them. */
  logProbability?: number | undefined;
}

export interface ChatAnswer {
  /** Ordered by index; at least one. */
  choices: ChatChoice[];
  /** 0 if the server does not report it, or reports something that is not a count. */
  promptTokens: number;
  completionTokens: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Finish reasons for the token limit: OpenAI, Mistral, TGI, Gemini. */
const CUT = new Set(['length', 'model_length', 'max_tokens', 'max_output_tokens', 'max_length']);

/** Finish reasons for a text that a filter withheld or cut: OpenAI and Azure, Gemini, Anthropic, Zhipu, Cohere. */
const FILTERED = new Set([
  ...['content_filter', 'content_filtered', 'contentfilter', 'content_policy', 'safety', 'recitation', 'blocklist'],
  ...['prohibited_content', 'spii', 'refusal', 'sensitive', 'error_toxic', 'guardrail_intervened', 'moderation'],
]);

/**
 * Reads a chat completion. A usable text is accepted, whatever else is missing.
 * @throws ServerFault if the answer holds no choice; it quotes the server
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

/** Returns whether a choice ended in an error, which cut its text, if it has any. */
function failed(choice: Fields): boolean {
  return Boolean(choice.error) && (choice.finish_reason === 'error' || readChoice(choice).text.trim() === '');
}

function withoutChoice(body: unknown, choices: unknown): ServerFault {
  const broken = Array.isArray(choices) ? choices.find((choice) => isFields(choice) && choice.error) : undefined;
  if (broken !== undefined) return new ServerFault('refused', 'a choice with an error', { status: 200, body: broken });
  if (isComplaint(body)) return new ServerFault('refused', 'an error under status 200', { status: 200, body });
  const shown = oneLine(JSON.stringify(body)?.slice(0, 300) ?? 'nothing', 160);
  if (Array.isArray(choices))
    throw new ServerFault('broken', `the server answered without a text: ${shown}`, { status: 200 });
  return new ServerFault('foreign', `answered something that is not a chat completion: ${shown}`, {
    status: 200,
  });
}

/** Sorts choices by index if each has a distinct one. */
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
  const reasoning = [message.reasoning_content, message.reasoning, message.thinking].find(
    (one) => typeof one === 'string' && one !== '',
  );
  const text = wellFormed(textOf(content, isText));
  return {
    text,
    reasoning: wellFormed(typeof reasoning === 'string' ? reasoning : textOf(content, isThought)),
    finish: CUT.has(reason) ? 'length' : 'stop',
    filtered: FILTERED.has(reason) || (typeof message.refusal === 'string' && text.trim() === ''),
    ...meanLogProbability(choice.logprobs),
  };
}

/** Reads OpenAI's `logprobs: {content: [{logprob}]}`. Some servers write a very small number for a probability of 0. */
function meanLogProbability(given: unknown): Pick<ChatChoice, 'logProbability'> {
  const content = isFields(given) && Array.isArray(given.content) ? given.content : [];
  const values = content.map((one) => (isFields(one) && typeof one.logprob === 'number' ? one.logprob : Number.NaN));
  if (values.length === 0 || !values.every((value) => value <= 1e-6)) return {};
  return { logProbability: Math.min(0, values.reduce((sum, value) => sum + value, 0) / values.length) };
}

const isThought = ({ type }: Fields): boolean => type === 'thinking' || type === 'reasoning';
const isText = (part: Fields): boolean => !isThought(part);

/** Content is a text, or a list of parts, some of which hold lists themselves. */
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

/** Replaces halves of surrogate pairs, which UTF-8 cannot represent. */
function wellFormed(text: string): string {
  return text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, '\uFFFD');
}

/** Returns 0 (unknown) for a value that is not a count. */
function countOf(value: unknown): number {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : 0;
}

function isFields(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
