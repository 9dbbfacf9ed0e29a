/** What stands in a text in place of a secret. */
export const HIDDEN = '***';

/** A shorter one is not looked for: it would be found in words that have nothing to do with it. */
const SHORTEST_IN_MESSAGES = 6;
/** Texts that a server writes are data. They are changed only for a secret that no text holds by chance. */
const SHORTEST_IN_DATA = 12;

/** Stand-ins for a key that local servers are given. They are words, and hiding them would hide names. */
const NO_SECRETS = new Set([
  'ollama',
  'lm-studio',
  'sk-no-key-required',
  'not-needed',
  'no-key',
  'no-key-required',
  'dummy-key',
  'secret',
]);

/** Passwords, keys and tokens of this process, each in the forms in which it may come back. */
const secrets = new Set<string>();

/** Remembers a secret so that {@link redact} finds it wherever it turns up. */
export function keepSecret(value: string): void {
  if (NO_SECRETS.has(value.toLowerCase())) return;
  const packed = Buffer.from(value).toString('base64');
  for (const form of [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), packed]) {
    if (form.length >= SHORTEST_IN_MESSAGES) secrets.add(form);
  }
}

const USER_INFO = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#@"'<>]+@/gi;
const SECRET_NAMES =
  'api[-_]?key|subscription[-_]key|access[-_]?token|key|token|secret|password|passwd|pwd|sig|signature|auth|code';
const SECRET_PARAMETER = new RegExp(`([?&](?:[a-z0-9_.-]*[-_.])?(?:${SECRET_NAMES})=)[^&#\\s"'<>]+`, 'gi');

/** Whether a parameter of an address holds a secret by its name. */
export function isSecretParameter(name: string): boolean {
  return new RegExp(`^(?:.*[-_.])?(?:${SECRET_NAMES})$`, 'i').test(name);
}

/**
 * A text as it may be shown: known secrets, and passwords and keys inside addresses, are replaced by `***`. Every message of this
 * package passes through here.
 */
export function redact(text: string): string {
  const known = replaceSecrets(text, SHORTEST_IN_MESSAGES);
  return known.replace(USER_INFO, `$1${HIDDEN}@`).replace(SECRET_PARAMETER, `$1${HIDDEN}`);
}

/** What a server answered, without the long secrets that it may have echoed. */
export function redactData(text: string): string {
  return replaceSecrets(text, SHORTEST_IN_DATA);
}

function replaceSecrets(text: string, shortest: number): string {
  let shown = text;
  // The longest first: one may be the beginning of another.
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (secret.length >= shortest && shown.includes(secret)) shown = shown.replaceAll(secret, HIDDEN);
  }
  return shown;
}

/** Longest text that one message shows. */
const LONGEST_MESSAGE = 2000;

/** A message as it is printed: without secrets, and no longer than a screen. */
export function asMessage(text: string, longest = LONGEST_MESSAGE): string {
  // What is cut off need not be searched; a secret that begins before the cut ends soon behind it.
  const shown = redact(text.slice(0, longest + 10_000));
  if (shown.length <= longest && text.length <= longest + 10_000) return shown;
  const beginning = shown.slice(0, longest).replace(/[\uD800-\uDBFF]$/, '');
  return `${beginning}... (${text.length.toLocaleString('en-US')} characters in all)`;
}
