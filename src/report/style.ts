/**
 * The style sheet of all pages. Colours follow the reader's light or dark setting. Gain and loss are blue and orange, which
 * colour-blind readers can tell apart. On a phone, each table row becomes a block of labelled values.
 */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5c6675; --line: #dfe3ea; --paper: #ffffff; --card: #f6f7f9;
  --gain: #1f6feb; --loss: #b85c00; --same: #a4acb8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b2; --line: #303845; --paper: #12161d;
  --card: #1a202a; --gain: #5aa2ff; --loss: #f0a04b; --same: #5c6675; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 1020px; margin: 0 auto; padding: 28px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 1.2rem; margin: 44px 0 10px; } h3 { font-size: 1rem; margin: 26px 0 6px; }
p { margin: 6px 0 12px; max-width: 46em; }
.soft { color: var(--soft); }
.verdict { font-size: 1.3rem; line-height: 1.35; font-weight: 650; margin: 22px 0 6px; padding: 2px 0 2px 14px; border-left: 5px solid var(--same); max-width: none; }
.verdict.gain { border-color: var(--gain); } .verdict.loss { border-color: var(--loss); }
.verdict b { display: block; font-size: 1rem; font-weight: 500; color: var(--soft); }
.verdicts { list-style: none; margin: 18px 0; padding: 0; }
.verdicts li { border-left: 5px solid var(--same); padding: 2px 0 2px 14px; margin: 0 0 14px; } .verdicts li.gain { border-color: var(--gain); } .verdicts li.loss { border-color: var(--loss); }
.verdicts b { font-size: 1.12rem; margin-right: 14px; } .verdicts .number { font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; } .verdicts i { font-style: normal; margin-left: 4px; }
.verdicts small { display: block; color: var(--soft); font-size: .86rem; } .verdicts p { margin: 2px 0; max-width: 62em; font-size: .95rem; }
.card { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(190px, 100%), 1fr)); gap: 14px 26px; margin: 18px 0; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; }
.card b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums; line-height: 1.25; }
.card span { color: var(--soft); font-size: .88rem; } .card b .up, .card b .down { font-size: inherit; } .card b .up { color: var(--gain); } .card b .down { color: var(--loss); }
nav { margin: 22px 0 0; font-size: .94rem; } nav b { margin-right: 10px; } nav a { margin-right: 16px; display: inline-block; }
a { color: var(--gain); }
.wide { overflow-x: auto; margin: 0 0 14px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 7px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; overflow-wrap: normal; }
th { color: var(--soft); font-weight: 600; font-size: .86rem; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 11em; overflow-wrap: anywhere; }
td small { display: block; color: var(--soft); font-size: .8rem; font-weight: 400; }
td.best { font-weight: 700; } td.note, th.note { text-align: left; white-space: normal; min-width: 10em; overflow-wrap: anywhere; }
td.note { color: var(--soft); } td.list { white-space: normal; }
.up, td.up { color: var(--gain); } .down, td.down { color: var(--loss); }
svg { width: 100%; height: auto; display: block; } svg.narrow { display: none; }
svg .gain { fill: var(--gain); } svg .loss { fill: var(--loss); } svg .same { fill: var(--same); }
svg .grid { stroke: var(--line); } svg .zero { stroke: var(--soft); } svg .mark { stroke: var(--ink); stroke-dasharray: 4 3; }
.series-1 { fill: var(--same); background: var(--same); } .series-2 { fill: var(--gain); background: var(--gain); } .series-3 { fill: var(--loss); background: var(--loss); }
.series-4 { fill: #2a9d8f; background: #2a9d8f; } .series-5 { fill: #8e6bbf; background: #8e6bbf; } .series-6 { fill: #c2577f; background: #c2577f; }
.legend i[class^="series-"] { border: 0; width: 12px; height: 12px; border-radius: 3px; }
svg circle { fill-opacity: .55; } svg .axis.name { fill: var(--ink); stroke: var(--paper); stroke-width: 3px; paint-order: stroke; } svg .small { font-size: 10px; }
svg .axis { fill: var(--soft); font: 12px system-ui, sans-serif; }
figure { margin: 14px 0; } .columns > section:only-child { max-width: 560px; } figcaption { font-weight: 600; font-size: .94rem; }
svg .line { fill: none; stroke-width: 2; } svg .line.gain { stroke: var(--gain); } svg .line.loss { stroke: var(--loss); }
svg .line.same { stroke: var(--soft); } svg .dashed { stroke-dasharray: 5 4; }
.legend { margin: 2px 0 0; font-size: .86rem; color: var(--soft); } .legend span { margin-right: 16px; white-space: nowrap; }
.legend i { display: inline-block; width: 18px; border-top: 3px solid var(--soft); margin-right: 6px; vertical-align: middle; }
.legend i.gain { border-color: var(--gain); } .legend i.loss { border-color: var(--loss); } .legend i.dashed { border-top-style: dashed; }
article { border: 1px solid var(--line); border-left: 4px solid var(--same); border-radius: 8px; padding: 12px 16px; margin: 12px 0; }
article.gain { border-left-color: var(--gain); } article.loss { border-left-color: var(--loss); }
article h3 { font-size: 1rem; margin: 0 0 4px; overflow: hidden; }
article h3 > span { float: right; margin-left: 12px; font-variant-numeric: tabular-nums; }
blockquote { margin: 8px 0; padding: 8px 12px; background: var(--card); border-radius: 6px; }
article ul { list-style: none; margin: 8px 0 0; padding: 0; font-size: .92rem; }
article li { display: grid; grid-template-columns: 8.5em 1fr; gap: 10px; padding: 3px 0; }
article li > span:first-child { font-variant-numeric: tabular-nums; white-space: nowrap; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 12px 24px; }
.columns > *, article li > *, dd { min-width: 0; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(230px, 100%), 1fr)); gap: 0 14px; }
.sides h4 { margin: 8px 0 0; font-size: .86rem; color: var(--soft); } .sides h4 span { float: right; font-variant-numeric: tabular-nums; }
.relevant { font-size: .9rem; margin: 4px 0; } .relevant b { color: var(--soft); font-weight: 600; margin-right: 6px; }
details { margin: 10px 0; } summary { cursor: pointer; font-weight: 600; }
dl { display: grid; grid-template-columns: minmax(8em, max-content) 1fr; gap: 3px 16px; margin: 6px 0 18px; font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; white-space: pre-wrap; }
code { font-size: .9em; }
@media (max-width: 640px) {
  body { font-size: 15px; } main { padding: 20px 16px 48px; } article li, dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 6px; }
  svg.broad { display: none; } svg.narrow { display: block; }
  .card { grid-template-columns: 1fr 1fr; gap: 12px 16px; padding: 14px; } .card b { font-size: 1.15rem; }
  table, tbody { display: block; } thead { display: none; }
  tr { display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); gap: 4px 12px; padding: 9px 0; border-bottom: 1px solid var(--line); }
  td, td.note { text-align: left; border: 0; padding: 0; min-width: 0; white-space: normal; overflow-wrap: anywhere; } td:empty { display: none; }
  td:first-child, td.note, td.list { grid-column: 1 / -1; } td:first-child { font-weight: 600; }
  td[data-label]::before { content: attr(data-label); display: block; color: var(--soft); font-size: .76rem; font-weight: 400; }
  td:first-child::before { display: none; }
}
`;
