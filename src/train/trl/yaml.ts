import { type ScalarTag, stringify } from 'yaml';

/** What the written YAML files hold. */
export type YamlValue = string | number | boolean | null | readonly YamlValue[] | { readonly [key: string]: YamlValue };

/** PyYAML goes by YAML 1.1, where `1e-8` is text and `1.0e-8` a number; the package writes the former even so. */
const NUMBER: ScalarTag = {
  tag: 'tag:yaml.org,2002:float',
  default: true,
  // Of several tags the package writes by one that has a test.
  test: /^-?\d+\.\d+e[-+]\d+$/,
  resolve: Number,
  identify: (value) => typeof value === 'number',
  stringify: ({ value }) => String(value).replace(/^(-?\d+)e/, '$1.0e'),
};

/** A mapping as YAML that PyYAML reads as it was. Text is quoted: unquoted, `=` and tabs would be refused there. */
export function toYaml(mapping: Readonly<Record<string, YamlValue>>): string {
  return stringify(mapping, {
    version: '1.1',
    customTags: (tags) => [NUMBER, ...tags],
    defaultStringType: 'QUOTE_DOUBLE',
    defaultKeyType: 'PLAIN',
    lineWidth: 0,
  });
}
