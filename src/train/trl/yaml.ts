import { type ScalarTag, stringify } from 'yaml';

/** The values of the YAML files that are written. */
export type YamlValue = string | number | boolean | null | readonly YamlValue[] | { readonly [key: string]: YamlValue };

/**
 * PyYAML follows YAML 1.1, in which `1e-8` is text and `1.0e-8` a number. The yaml package writes the former even for
 * YAML 1.1.
 */
const NUMBER: ScalarTag = {
  tag: 'tag:yaml.org,2002:float',
  default: true,
  // Of several matching tags, the package uses one that has a test.
  test: /^-?\d+\.\d+e[-+]\d+$/,
  resolve: Number,
  identify: (value) => typeof value === 'number',
  stringify: ({ value }) => String(value).replace(/^(-?\d+)e/, '$1.0e'),
};

/**
 * Writes a mapping as YAML that PyYAML reads back unchanged. Text is quoted because PyYAML refuses an unquoted `=` or
 * tab.
 */
export function toYaml(mapping: Readonly<Record<string, YamlValue>>): string {
  return stringify(mapping, {
    version: '1.1',
    customTags: (tags) => [NUMBER, ...tags],
    defaultStringType: 'QUOTE_DOUBLE',
    defaultKeyType: 'PLAIN',
    lineWidth: 0,
  });
}
