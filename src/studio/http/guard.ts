import type { Context, MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { RequestError } from '../../serve/index.ts';
import { isSameSecret } from '../../system/index.ts';

const READS = new Set(['GET', 'HEAD']);

/**
 * Lets only the owner of this studio in. Other sites that a browser shows can reach 127.0.0.1 as well, hence:
 * - the Host header names this machine (a foreign name that resolves to 127.0.0.1 is refused);
 * - the token was given: once as `?token=`, which becomes a cookie, then by that cookie, or as `Authorization: Bearer`;
 * - a request that changes something and is allowed by a cookie comes from our own page, by its Origin header.
 * @param port of the server; read at each request, since it is known only once the server listens
 */
export function guard(token: string, port: () => number): MiddlewareHandler {
  return async (context, next) => {
    const hosts = ['127.0.0.1', 'localhost', '[::1]'].flatMap((host) =>
      port() === 80 ? [host, `${host}:80`] : [`${host}:${port()}`],
    );
    const host = context.req.header('host')?.toLowerCase() ?? '';
    if (!hosts.includes(host)) throw refused('the Host header names another machine');
    const origin = context.req.header('origin');
    const isForeign = origin !== undefined && !hosts.some((one) => origin === `http://${one}`);
    const isRead = READS.has(context.req.method);
    if (isForeign && !isRead) throw refused('the request comes from another site');

    const bearer = /^Bearer (.+)$/i.exec(context.req.header('authorization') ?? '')?.[1];
    if (bearer !== undefined && isSameSecret(bearer, token)) return next();
    const offered = context.req.query('token');
    if (offered !== undefined && isRead && isSameSecret(offered, token)) return enter(context, token, port());
    if (!isSameSecret(getCookie(context, cookieName(port())) ?? '', token))
      throw refused('the token is missing or wrong');
    if (origin === undefined && !isRead) throw refused('the request has no Origin header');
    return next();
  };
}

/** Keeps the token in a cookie, so that it stands in no address that could be copied, logged or shared. */
function enter(context: Context, token: string, port: number): Response {
  setCookie(context, cookieName(port), token, { httpOnly: true, sameSite: 'Strict', path: '/' });
  const clean = new URL(context.req.url);
  clean.searchParams.delete('token');
  // One slash: `//host` would be the address of another machine.
  return context.redirect(`/${clean.pathname.replace(/^\/+/, '')}${clean.search}`, 303);
}

/** Cookies are shared by all ports of a machine: each studio has its own. */
function cookieName(port: number): string {
  return `llm-qe-studio-${port}`;
}

function refused(reason: string): RequestError {
  return new RequestError(403, reason, { fix: 'Open the address that `llm-qe studio` printed, with its token.' });
}
