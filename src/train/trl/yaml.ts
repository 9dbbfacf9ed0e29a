/** What the written YAML files hold. */
export type YamlValue = string | number | boolean | null | readonly YamlValue[] | { readonly [key: string]: YamlValue };

/**
 * A mapping as YAML, one key a line. Values are written in JSON's form, which every reader of YAML knows, but for numbers:
 * PyYAML goes by YAML 1.1, where `1e-8` is text and `1.0e-8` a number.
 */
export function toYaml(mapping: Readonly<Record<string, YamlValue>>): string {
  return Object.entries(mapping)
    .map(([key, value]) => `${key}: ${flow(value)}\n`)
    .join('');
}

function flow(value: YamlValue): string {
  if (typeof value === 'number') return number(value);
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${flow(one)}`);
    return `{${entries.join(', ')}}`;
  }
  return JSON.stringify(value);
}

function number(value: number): string {
  const text = String(value);
  const [mantissa, exponent] = text.split('e');
  if (exponent === undefined) return text;
  return `${mantissa!.includes('.') ? mantissa : `${mantissa}.0`}e${/^[+-]/.test(exponent) ? exponent : `+${exponent}`}`;
}
