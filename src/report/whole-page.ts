import { html, type Markup, Markup as Raw } from './markup.ts';

/** The page's only style sheet; colours follow the reader's light or dark setting, and gain and loss differ in hue for
 * the colour-blind too (blue and orange). */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5c6675; --line: #dfe3ea; --paper: #ffffff; --card: #f6f7f9;
  --gain: #1f6feb; --loss: #d9730d; --same: #a4acb8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b2; --line: #303845; --paper: #12161d;
  --card: #1a202a; --gain: #5aa2ff; --loss: #f0a04b; --same: #5c6675; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 28px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 1.2rem; margin: 44px 0 10px; }
p { margin: 6px 0 12px; max-width: 46em; }
.soft { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin: 22px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.tile b { display: block; font-size: 1.55rem; font-variant-numeric: tabular-nums; line-height: 1.25; }
.tile > span { color: var(--soft); font-size: .88rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 7px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; font-size: .86rem; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9em; }
td small { display: block; color: var(--soft); font-size: .8rem; }
td.best { font-weight: 700; }
.up { color: var(--gain); } .down { color: var(--loss); }
svg { width: 100%; height: auto; display: block; }
svg .gain { fill: var(--gain); } svg .loss { fill: var(--loss); } svg .same { fill: var(--same); }
svg .grid { stroke: var(--line); } svg .zero { stroke: var(--soft); } svg .mark { stroke: var(--ink); stroke-dasharray: 4 3; }
svg .axis { fill: var(--soft); font: 12px system-ui, sans-serif; }
figure { margin: 14px 0; } .columns > section:only-child { max-width: 560px; } figcaption { font-weight: 600; font-size: .94rem; }
svg .line { fill: none; stroke-width: 2; } svg .line.gain { stroke: var(--gain); } svg .line.loss { stroke: var(--loss); }
svg .line.same { stroke: var(--soft); } svg .dashed { stroke-dasharray: 5 4; }
.legend { margin: 2px 0 0; font-size: .86rem; color: var(--soft); } .legend span { margin-right: 16px; white-space: nowrap; }
.legend i { display: inline-block; width: 18px; border-top: 3px solid var(--soft); margin-right: 6px; vertical-align: middle; }
.legend i.gain { border-color: var(--gain); } .legend i.loss { border-color: var(--loss); } .legend i.dashed { border-top-style: dashed; }
article { border: 1px solid var(--line); border-left: 4px solid var(--same); border-radius: 8px; padding: 12px 16px; margin: 12px 0; }
article.gain { border-left-color: var(--gain); } article.loss { border-left-color: var(--loss); }
article h3 { font-size: 1rem; margin: 0 0 4px; }
article h3 span { float: right; margin-left: 12px; font-variant-numeric: tabular-nums; }
blockquote { margin: 8px 0; padding: 8px 12px; background: var(--card); border-radius: 6px; overflow-wrap: anywhere; }
article ul { list-style: none; margin: 8px 0 0; padding: 0; font-size: .92rem; }
article li { display: grid; grid-template-columns: 8.5em 1fr; gap: 10px; padding: 3px 0; overflow-wrap: anywhere; }
article li span { font-variant-numeric: tabular-nums; white-space: nowrap; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 12px 24px; }
details { margin: 10px 0; } summary { cursor: pointer; font-weight: 600; }
dl { display: grid; grid-template-columns: minmax(8em, max-content) 1fr; gap: 3px 16px; margin: 6px 0 18px; font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font-size: .9em; }
@media (max-width: 560px) { .wide svg { min-width: 620px; } body { font-size: 15px; } article li { grid-template-columns: 1fr; gap: 0; } dl { grid-template-columns: 1fr; }
  dd { margin-bottom: 6px; } th, td { padding: 6px 7px; } }
`;

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
