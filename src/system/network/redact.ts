/** Replaces a secret in a text. */
export const HIDDEN = '***';

/** Shorter secrets are not searched for: they would be found in unrelated words. */
const SHORTEST_IN_MESSAGES = 6;
/** Texts from a server are data. They are changed only for secrets too long to occur by chance. */
const SHORTEST_IN_DATA = 12;

/** Placeholders for keys of local servers. They are ordinary words; hiding them would hide names. */
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

/** Passwords, keys and tokens of this process, each in all forms in which a server may return it. */
const secrets = new Set<string>();

/** Remembers a secret, so that {@link redact} finds it everywhere. */
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

/** Returns whether a parameter of an address holds a secret, judging by its name. */
export function isSecretParameter(name: string): boolean {
  return new RegExp(`^(?:.*[-_.])?(?:${SECRET_NAMES})$`, 'i').test(name);
}

/**
 * Returns a text as it may be shown: known secrets, and passwords and keys inside addresses, are replaced by `***`. Every message
 * of this package passes through here.
 */
export function redact(text: string): string {
  const known = replaceSecrets(text, SHORTEST_IN_MESSAGES);
  return known.replace(USER_INFO, `$1${HIDDEN}@`).replace(SECRET_PARAMETER, `$1${HIDDEN}`);
}

/** Returns a server's answer without the long secrets that it may have echoed. */
export function redactData(text: string): string {
  return replaceSecrets(text, SHORTEST_IN_DATA);
}

function replaceSecrets(text: string, shortest: number): string {
  let shown = text;
  // The longest first: a secret may be the beginning of another.
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (secret.length >= shortest && shown.includes(secret)) shown = shown.replaceAll(secret, HIDDEN);
  }
  return shown;
}

/** Maximum length of a message, in characters. */
const LONGEST_MESSAGE = 2000;

/** The part that is cut off need not be searched: a secret that begins before the cut ends soon after it. */
export function asMessage(text: string, longest = LONGEST_MESSAGE): string {
  // The part that is cut off need not be searched: a secret that begins before the cut ends soon after it.
  const shown = redact(text.slice(0, longest + 10_000));
  if (shown.length <= longest && text.length <= longest + 10_000) return shown;
  const beginning = shown.slice(0, longest).replace(/[\uD800-\uDBFF]$/, '');
  return `${beginning}... (${text.length.toLocaleString('en-US')} characters in all)`;
}
