import { Hono } from 'hono';
import type { Studio } from '../studio.ts';

/** `/api/queries` */
export function queriesApi(_studio: Studio): Hono {
  return new Hono();
}
