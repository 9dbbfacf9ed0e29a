import { createHash } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import { secureHeaders } from 'hono/secure-headers';

/**
 * Observable Plot puts a `<style>` of this very text into each plot and each colour ramp whose class is `plot`, which our component
 * sets: the policy names the hashes of the two texts. A browser test draws a plot, and fails if its style is blocked.
 */
const PLOT_STYLES = [
  `:where(.plot) {
  --plot-background: white;
  display: block;
  height: auto;
  height: intrinsic;
  max-width: 100%;
}
:where(.plot text),
:where(.plot tspan) {
  white-space: pre;
}`,
  `:where(.plot-ramp) {
  display: block;
  height: auto;
  height: intrinsic;
  max-width: 100%;
  overflow: visible;
}
:where(.plot-ramp text) {
  white-space: pre;
}`,
].map((text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`);

/** Reports lie in the folders of runs, which may come from others. */
const REPORT = /^\/api\/runs\/[^/]+\/report$/;

const COMMON = {
  referrerPolicy: 'no-referrer',
  // Loopback speaks HTTP, and must go on doing so.
  strictTransportSecurity: false,
  xFrameOptions: 'DENY',
  crossOriginResourcePolicy: 'same-origin',
} as const;

/** The page's policy for everything, but for the reports of runs. */
export function policies(): MiddlewareHandler {
  const [page, report] = [pagePolicy(), reportPolicy()];
  return (context, next) => (REPORT.test(context.req.path) ? report : page)(context, next);
}

/**
 * What a page of the studio may do: load its own files, talk to its own server, and nothing else. No inline script, no inline
 * style sheet, no frame, no form that leads away. Inline styles that scripts set by property are not restricted by a policy.
 */
function pagePolicy(): MiddlewareHandler {
  return secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'", ...PLOT_STYLES],
      imgSrc: ["'self'", 'data:', 'blob:'],
      connectSrc: ["'self'"],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
    },
    ...COMMON,
    crossOriginOpenerPolicy: 'same-origin',
  });
}

/**
 * What a report may do: show itself, with its own style sheet. Its origin is none, so that it can ask the studio for nothing, and it
 * runs no script, sends no form and loads nothing.
 */
function reportPolicy(): MiddlewareHandler {
  return secureHeaders({
    contentSecurityPolicy: {
      sandbox: [],
      defaultSrc: ["'none'"],
      styleSrc: ["'unsafe-inline'"],
      imgSrc: ['data:'],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
    },
    ...COMMON,
    // A browser refuses a sandboxed page that asks for a window of its own.
    crossOriginOpenerPolicy: false,
  });
}
