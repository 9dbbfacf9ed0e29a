import { CacheKind } from '../../system/index.ts';
import { WRITERS_FORMAT } from './stage.ts';

/** Expansions that belong to no data set: those of single searches. Each is a folder, named by the key of all that decides them. */
export const EXPANSION_CACHE = new CacheKind({
  name: 'expansions',
  format: WRITERS_FORMAT,
  what: 'expansions of single searches',
  isSmall: true,
});
