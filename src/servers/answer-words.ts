import { redact } from '../system/index.ts';

/** What a server reports as wrong. */
export interface Complaint {
  /** The server's message, on one line; empty if there is none. */
  words: string;
  /** A status in the body. */
  status: number | undefined;
  /** The server's names for the fault: its fields `code`, `type`, `status`, `error_type`. */
  names: string[];
  /** The setting that the server names. */
  parameter: string | undefined;
  /** The wait that it asks for in its body. */
  retryAfterSeconds: number | undefined;
}

type Fields = Record<string, unknown>;

/** Maximum length of a quotation, in characters. */
const LONGEST_WORDS = 300;

/**
 * Extracts a server's complaint from any of the usual forms: an `error` that is an object or a text (OpenAI, Ollama,
 * text-embeddings-inference), `message` (vLLM, Mistral), `detail` as a text or as a list of places (FastAPI), a list, plain text,
 * or a page of HTML.
 *
 * @param body parsed JSON, or a text
 */
export function readComplaint(body: unknown): Complaint {
  const levels = fieldsOf(body);
  const codes = levels.flatMap(({ code, status, status_code, statusCode }) => [code, status, status_code, statusCode]);
  const status = codes.map(Number).find((code) => Number.isInteger(code) && code >= 400 && code < 600);
  const names = levels.flatMap(({ code, type, status: named, error_type }) => [code, type, named, error_type]);
  const parameter = levels.map(({ param }) => param).find((param) => typeof param === 'string' && param !== '');
  const words = wordsOf(body);
  return {
    words: oneLine(words),
    status,
    names: names.filter((name) => typeof name === 'string'),
    parameter: parameter as string | undefined,
    retryAfterSeconds: statedWait(levels, words),
  };
}

/** Whether an answer that is not the expected one reports an error, whatever its status. */
export function isComplaint(body: unknown): boolean {
  if (typeof body === 'string') return true;
  if (Array.isArray(body)) return body.length > 0 && isFields(body[0]) && Boolean(body[0].error);
  if (!isFields(body)) return false;
  const { object, type, status, success } = body;
  return (
    Boolean(body.error || body.detail || body.errors || body.base_resp || body.promptFeedback) ||
    [object, type, status].includes('error') ||
    success === false ||
    typeof body.msg === 'string' ||
    // `message` alone is an error report, but a model's own format may have it too.
    (typeof body.message === 'string' && !('done' in body))
  );
}

/** How deep keys are rewritten. */
const DEEPEST_KEY = 8;

/**
 * Returns an answer with the keys of this API as it writes them: some servers (.NET, gateways) write `Error`, `Message` or `CHOICES`.
 * A key that exists in both forms keeps its own.
 */
export function withUsualKeys(body: unknown, depth = 0): unknown {
  if (depth > DEEPEST_KEY || body === null || typeof body !== 'object') return body;
  if (Array.isArray(body)) {
    // Vectors have no keys.
    return typeof body[0] === 'number' ? body : body.map((one) => withUsualKeys(one, depth + 1));
  }
  const fields = body as Fields;
  const entries = Object.entries(fields).map(([key, value]) => {
    const usual = usualKey(key);
    return [usual in fields ? key : usual, withUsualKeys(value, depth + 1)] as const;
  });
  return Object.fromEntries(entries);
}

/** `Choices` and `CHOICES` become `choices`, `StatusCode` becomes `statusCode`, `Retry-After` becomes `retry-after`. */
function usualKey(key: string): string {
  if (!/^[A-Z]/.test(key)) return key;
  return /-|^[A-Z_\d]+$/.test(key) ? key.toLowerCase() : key[0]!.toLowerCase() + key.slice(1);
}

/** Fields in which a body holds a wait in seconds. */
const WAITS = ['retry_after', 'retryAfter', 'retry-after', 'retry_after_seconds', 'retryAfterSeconds'];

/** The wait that a body requests in a field of its own. */
function waitField(levels: readonly Fields[]): number | undefined {
  const given = levels.flatMap((level) => WAITS.map((name) => level[name])).find((value) => value != null);
  return /^\d+(\.\d+)?s?$/.test(String(given)) ? Number.parseFloat(String(given)) : undefined;
}

/** The wait that a body requests: `retry_after`, Google's `retryDelay: "37s"`, or "try again in 20s". */
function statedWait(levels: readonly Fields[], words: string): number | undefined {
  const details = levels.flatMap(({ details }) => (Array.isArray(details) ? details : [])).filter(isFields);
  const delay = details.map(({ retryDelay }) => retryDelay).find((one) => typeof one === 'string');
  const google = /^(\d+(?:\.\d+)?)s$/.exec(String(delay))?.[1];
  if (google !== undefined) return Number(google);
  const field = waitField(levels);
  if (field !== undefined) return field;
  const said = /\b(?:try again|retry) (?:in|after) (\d+(?:\.\d+)?) ?(ms|s|sec(?:ond)?s?|m(?:in(?:ute)?s?)?)\b/i.exec(
    words,
  );
  if (said === null) return undefined;
  const unit = said[2]!.toLowerCase();
  return (Number(said[1]) * (unit === 'ms' ? 1 : unit.startsWith('m') ? 60_000 : 1000)) / 1000;
}

function isFields(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Returns the body and the error objects inside it. */
function fieldsOf(body: unknown, depth = 0): Fields[] {
  if (Array.isArray(body)) return body.slice(0, 1).flatMap((one) => fieldsOf(one, depth));
  if (body === null || typeof body !== 'object' || depth > 3) return [];
  const fields = body as Fields;
  return [...fieldsOf(fields.error, depth + 1), ...fieldsOf(fields.message, depth + 1), fields];
}

/** Fields that hold the message, by priority. */
const SPEAKING = [
  'error',
  'message',
  'detail',
  'errors',
  'msg',
  'status_msg',
  'base_resp',
  'error_message',
  'error_description',
  'description',
  'title',
];

function wordsOf(said: unknown, depth = 0): string {
  if (typeof said === 'string') return textOf(said, depth);
  if (said === null || typeof said !== 'object' || depth > 5) return said == null ? '' : String(said);
  if (Array.isArray(said)) {
    const shown = said.slice(0, 3).map((one) => wordsOf(one, depth + 1));
    return `${shown.join('; ')}${said.length > 3 ? `; and ${said.length - 3} more` : ''}`;
  }
  const fields = said as Fields;
  const place = Array.isArray(fields.loc) ? `${fields.loc.join('.')}: ` : '';
  const field = SPEAKING.find((name) => fields[name] != null && fields[name] !== '');
  if (field === undefined) return JSON.stringify(said).slice(0, 20 * LONGEST_WORDS);
  const raw = (fields.metadata as Fields | null | undefined)?.raw;
  const more = typeof raw === 'string' ? ` (${textOf(raw, depth + 1)})` : '';
  return `${place}${wordsOf(fields[field], depth + 1)}${more}`;
}

/** A text may be an HTML page, or JSON that was serialised twice. */
function textOf(text: string, depth: number): string {
  const trimmed = text.trim();
  if (/^[{[]/.test(trimmed) && depth <= 5) {
    try {
      return wordsOf(JSON.parse(trimmed), depth + 1);
    } catch {
      return trimmed;
    }
  }
  if (!/^<(!doctype|html|head|body|\?xml)/i.test(trimmed)) return trimmed;
  const title = /<title[^>]*>([^<]*)</i.exec(trimmed)?.[1]?.trim();
  return title || trimmed.replace(/<(style|script)[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ');
}

/** Shortens a server's message to one line that can be quoted. */
export function oneLine(text: string, longest = LONGEST_WORDS): string {
  // A secret that was cut in two would not be found any more.
  const line = redact(text.slice(0, 20 * longest))
    .replace(/\s+/g, ' ')
    .trim();
  return line.length <= longest ? line : `${line.slice(0, longest).replace(/[\uD800-\uDBFF]$/, '')}...`;
}
