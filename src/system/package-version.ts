import { existsSync, readFileSync } from 'node:fs';

/** This package's version, read from its package.json, where alone it stands: above the folder this was compiled into. */
export function packageVersion(): string {
  let place = new URL('../../package.json', import.meta.url);
  while (!existsSync(place) && place.pathname !== '/package.json') place = new URL('../package.json', place);
  return (JSON.parse(readFileSync(place, 'utf8')) as { version: string }).version;
}
