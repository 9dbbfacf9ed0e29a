import { Hono } from 'hono';
import type { Studio } from '../studio.ts';

/** `/api/try` */
export function tryApi(_studio: Studio): Hono {
  return new Hono();
}
