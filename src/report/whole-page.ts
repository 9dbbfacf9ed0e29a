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
  /** What stands above the sections: what it is about, the verdict, the card. */
  lead: Markup;
  /** Those that are undefined are left out. */
  sections: readonly (Section | undefined)[];
}

/** From so many sections on a page begins with a table of contents. */
const LONG = 5;

/**
 * A page that needs nothing else: no script, no font, no picture from elsewhere. Its policy allows its own style sheet, told by
 * its hash, and nothing besides; whatever texts of models and data hold can neither run nor fetch.
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

/** Settings by section, each with its value. */
export type SettingSections = readonly [
  section: string,
  entries: readonly (readonly [name: string, value: string])[],
][];

/** Settings as lists, with their names and values in words. */
export function settingLists(sections: SettingSections): Markup[] {
  return sections.map(
    ([section, entries]) =>
      html`<h3>${section}</h3><dl>${entries.map(([name, value]) => html`<dt>${labelOf(name)}</dt><dd>${valueInWords(name, value)}</dd>`)}</dl>`,
  );
}
