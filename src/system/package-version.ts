import { readFileSync } from 'node:fs';

/** This package's version, read from its package.json, where alone it stands. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
