import { existsSync, readFileSync } from 'node:fs';

/** Returns this package's version from its package.json, the only place that holds it. */
export function packageVersion(): string {
  let place = new URL('../../package.json', import.meta.url);
  while (!existsSync(place) && place.pathname !== '/package.json') place = new URL('../package.json', place);
  return (JSON.parse(readFileSync(place, 'utf8')) as { version: string }).version;
}
