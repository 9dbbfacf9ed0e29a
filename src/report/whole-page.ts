import { html, type Markup, Markup as Raw } from './markup.ts';
import { STYLE } from './style.ts';

export interface PageOptions {
  title: string;
  /** Rules of this page alone, behind the common style sheet. */
  style?: string | undefined;
}

/** A page that needs nothing else: no script, no font, no picture from elsewhere. */
export function wholePage({ title, style = '' }: PageOptions, content: Markup): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${new Raw(STYLE)}${new Raw(style)}</style></head>
<body><main>
<h1>${title}</h1>
${content}
</main></body></html>
`.text;
}

/** Settings by section, each with its value. */
export type SettingSections = readonly [
  section: string,
  entries: readonly (readonly [name: string, value: string])[],
][];

export function settingLists(sections: SettingSections): Markup[] {
  return sections.map(
    ([section, entries]) =>
      html`<h3>${section}</h3><dl>${entries.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`,
  );
}
