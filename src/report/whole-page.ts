import { createHash } from 'node:crypto';
import { labelOf, valueInWords } from './labels.ts';
import { html, type Markup, Markup as Raw } from './markup.ts';
import { STYLE } from './style.ts';

/** A part of a page, with its heading. */
export interface Section {
  title: string;
  body: Markup | readonly (Markup | undefined)[];
}

export interface PageContent {
  title: string;
  /** The part above the sections: subject, verdict, card. */
  lead: Markup;
  /** Undefined sections are skipped. */
  sections: readonly (Section | undefined)[];
}

/** A page with at least this many sections begins with a table of contents. */
const LONG = 5;

/**
 * Renders a self-contained page: no scripts, fonts or images from elsewhere. Its content security policy allows only its
 * own style sheet, identified by its hash. Whatever the texts of models and data contain, they can neither run nor load anything.
 */
export function wholePage({ title, lead, sections }: PageContent): string {
  const shown = sections.filter((section) => section !== undefined);
  const contents = shown.map(({ title: heading }, at) => html`<a href="#s${at + 1}">${heading}</a>`);
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${new Raw(STYLE)}</style></head>
<body><main>
<h1>${title}</h1>
${lead}
${shown.length >= LONG ? html`<nav aria-label="Contents"><b>Contents</b>${contents}</nav>` : undefined}
${shown.map(({ title: heading, body }, at) => html`<h2 id="s${at + 1}">${heading}</h2>${body}\n`)}
</main></body></html>
`.text;
}

const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`;

/** Settings by section, as pairs of name and value. */
export type SettingSections = readonly [
  section: string,
  entries: readonly (readonly [name: string, value: string])[],
][];

/** Renders settings as lists, with readable names and values. */
export function settingLists(sections: SettingSections): Markup[] {
  return sections.map(
    ([section, entries]) =>
      html`<h3>${section}</h3><dl>${entries.map(([name, value]) => html`<dt>${labelOf(name)}</dt><dd>${valueInWords(name, value)}</dd>`)}</dl>`,
  );
}
