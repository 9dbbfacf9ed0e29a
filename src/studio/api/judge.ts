import { Hono } from 'hono';
import type { Studio } from '../studio.ts';

/** `/api/judge` */
export function judgeApi(_studio: Studio): Hono {
  return new Hono();
}
