import { Hono } from 'hono';
import type { Studio } from '../studio.ts';

/** `/api/exports` */
export function exportsApi(_studio: Studio): Hono {
  return new Hono();
}
