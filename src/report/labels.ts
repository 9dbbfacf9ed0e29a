/** Labels of names that splitting into words would get wrong. */
const KNOWN: Record<string, string> = {
  zeroShot: 'zero-shot',
  sft: 'SFT',
  dpo: 'DPO',
  topP: 'top-p',
  topK: 'top-k',
  k1: 'k1',
  bm25: 'BM25',
  rrf: 'RRF',
  sha256: 'SHA-256',
  lowerCase: 'lower case',
  url: 'URL',
  llm: 'LLM',
};

/** Returns the label of a setting or an arm: `lower case` for `lowerCase`, `DPO: max length` for `dpo.maxLength`. */
export function labelOf(name: string): string {
  if (/\s/.test(name)) return name.replace(/\bzeroShot\b/g, 'zero-shot');
  const parts = name.split('.').map((part) => KNOWN[part] ?? spaced(part));
  return parts.join(': ');
}

function spaced(part: string): string {
  if (!/^[a-z][A-Za-z0-9]*$/.test(part)) return part;
  return part.replace(
    /([a-z0-9])([A-Z])/g,
    (_both, before: string, after: string) => `${before} ${after.toLowerCase()}`,
  );
}

const BYTES = /(bytes|memory|size on disk)$/i;

/** Formats the value of a setting: yes and no for booleans, and sizes in memory or on disk with a unit. */
export function valueInWords(name: string, value: string): string {
  if (value === 'true') return 'yes';
  if (value === 'false') return 'no';
  if (value === '' || value === 'null' || value === 'undefined') return 'none';
  if (BYTES.test(name) && /^\d+$/.test(value)) return byteSize(Number(value));
  return value;
}

/** Formats a number of bytes with a unit: `1.5 GB`. */
export function byteSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toFixed(1)} ${['', 'kB', 'MB', 'GB', 'TB'][power]}`;
}
