import type { Context } from 'hono';
import type { z } from 'zod';
import { RequestError } from '../../serve/index.ts';

/** Reads the JSON body by a schema. @throws RequestError that names the first field which does not fit */
export async function readBody<S extends z.ZodType>(context: Context, schema: S): Promise<z.output<S>> {
  const isJson = /^application\/json\b/i.test(context.req.header('content-type') ?? '');
  const fix = 'Send JSON with the header content-type: application/json.';
  if (!isJson) throw new RequestError(400, 'the body is not JSON', { fix });
  const body: unknown = await context.req.json().catch(() => {
    throw new RequestError(400, 'the body is not JSON', { fix });
  });
  return parse(body, schema);
}

/** Reads what follows the question mark by a schema; values are texts, so write numbers as `z.coerce.number()`. @throws RequestError */
export function readQuery<S extends z.ZodType>(context: Context, schema: S): z.output<S> {
  return parse(context.req.query(), schema);
}

function parse<S extends z.ZodType>(value: unknown, schema: S): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue!.path.join('.') || 'the request';
  throw new RequestError(400, `${field}: ${issue!.message}`, { fix: 'Correct it, and send it again.' });
}
