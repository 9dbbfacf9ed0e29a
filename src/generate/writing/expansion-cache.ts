import { CacheKind } from '../../system/index.ts';
import { WRITERS_FORMAT } from './stage.ts';

/**
 * Expansions of single searches, which belong to no data set. Each is a folder named by the key of everything that decides the
 * expansions.
 */
export const EXPANSION_CACHE = new CacheKind({
  name: 'expansions',
  format: WRITERS_FORMAT,
  what: 'expansions of single searches',
  isSmall: true,
});
