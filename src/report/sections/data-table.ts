import { html, type Markup } from '../markup.ts';

export interface Column {
  title: string;
  /** `note`: text, left-aligned; `list`: several values that may wrap. */
  kind?: 'note' | 'list' | undefined;
}

/** A cell with a look. */
export interface Cell {
  content: Markup | string | number;
  /** `up`, `down`, `best`. */
  look?: string | undefined;
}

type Given = Cell | Markup | string | number;

/** Renders a table. On a narrow screen, each row becomes a block of values labelled by their columns. */
export function dataTable(columns: readonly (Column | string)[], rows: readonly (readonly Given[])[]): Markup {
  const described = columns.map((column): Column => (typeof column === 'string' ? { title: column } : column));
  const head = described.map(({ title, kind }) => html`<th${classOf(kind)}>${title}</th>`);
  const body = rows.map((row) => html`<tr>${row.map((cell, at) => cellOf(cell, described[at]!))}</tr>`);
  return html`<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

function cellOf(given: Given, { title, kind }: Column): Markup {
  const { content, look } =
    typeof given === 'object' && 'content' in given ? given : { content: given, look: undefined };
  return html`<td${classOf(kind, look)} data-label="${title}">${content}</td>`;
}

function classOf(...names: (string | undefined)[]): Markup | undefined {
  const given = names.filter((name) => name !== undefined && name !== '').join(' ');
  return given === '' ? undefined : html` class="${given}"`;
}
