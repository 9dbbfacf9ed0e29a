import {
  FEWEST_SETS,
  pooledSets,
  SELF_HITS_IN_WORDS,
  type SuiteCell,
  type SuiteData,
  type SuiteRow,
  selfHitsOf,
  verdictLines,
} from '../report/index.ts';

/** Below these, a change is marked: one dagger, two daggers. P values are corrected over the sets. */
const [DAGGER_P, DOUBLE_P] = [0.05, 0.01];

/** One value of a table, and what is special about it. */
interface Entry {
  value: number | undefined;
  isBest: boolean;
  /** 0: no significant change; 1 and 2: daggers. */
  daggers: number;
}

/** Rows of the table: sets and means, each with one entry per system, and the rule for self hits. */
interface TableRow {
  name: string;
  entries: Entry[];
  selfHits: string;
  isMean: boolean;
}

function tableRows({ rows, means, systems, measure }: SuiteData): TableRow[] {
  const names = systems.map(({ name }) => name);
  const sets = rows.map((row): TableRow => {
    const entries = names.map((name) => entryOf(row.cells[name], measure));
    return { name: titleOf(row), entries: markBest(entries), selfHits: selfHitsOf(row), isMean: false };
  });
  const averages = means.map(({ label, measures }): TableRow => {
    const entries = names.map((name) => ({ value: measures[name]?.[measure], isBest: false, daggers: 0 }));
    return { name: label, entries: markBest(entries), selfHits: '', isMean: true };
  });
  return [...sets, ...averages];
}

function titleOf({ name, parts }: SuiteRow): string {
  return parts === undefined ? name : `${name} (mean of ${parts.length})`;
}

function entryOf(cell: SuiteCell | undefined, measure: string): Entry {
  const p = cell?.test?.holm ?? 1;
  return { value: cell?.measures[measure], isBest: false, daggers: p < DOUBLE_P ? 2 : p < DAGGER_P ? 1 : 0 };
}

/** Values that are equal in print are equally good. */
function markBest(entries: readonly Entry[]): Entry[] {
  const best = Math.max(...entries.map(({ value }) => rounded(value ?? -1)));
  return entries.map((entry) => ({ ...entry, isBest: entry.value !== undefined && rounded(entry.value) === best }));
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}

const DAGGERS = ['', '†', '‡'];
const TEST_IN_WORDS = 'paired randomisation test, corrected over the sets (Holm)';

/** The scores as lines of a terminal's table: head and rows. */
export function terminalTable(data: SuiteData): { head: string[]; rows: string[][] } {
  const rows = tableRows(data).map(({ name, entries, selfHits }) => [
    name,
    ...entries.map(({ value, daggers }) =>
      value === undefined ? 'failed' : `${value.toFixed(4)}${DAGGERS[daggers]!.padEnd(1)}`,
    ),
    selfHits,
  ]);
  return { head: [data.measure, ...data.systems.map(({ name }) => name), 'self hits'], rows };
}

/** What a terminal prints below the table. */
export function tableLegend({ baseline }: SuiteData): string {
  return `† p < .05, ‡ p < .01 against ${baseline}: ${TEST_IN_WORDS}. ${SELF_HITS_IN_WORDS}.`;
}

/** What a terminal says of all sets together: one line per system. */
export function metaLines({ meta, rows, baseline }: SuiteData): string[] {
  return meta.map(({ system, effect, interval, p, studies, iSquared, unchanged }) => {
    const left = unchanged.length === 0 ? '' : `; no query changed in ${unchanged.join(', ')}`;
    const head = `${system} against ${baseline} over ${pooledSets(studies, rows.length)} (random effects${left}): ${signed(effect)}`;
    if (interval === undefined || p === undefined) return `${head}; an interval needs at least ${FEWEST_SETS} sets`;
    return `${head}, 95 % interval ${rangeOf(interval)}, p ${short(p)}; the sets differ by more than chance in ${(100 * iSquared).toFixed(0)} % of the spread`;
  });
}

/** The table in Markdown. */
export function markdownTable(data: SuiteData): string {
  const cells = (entries: readonly Entry[]) =>
    entries.map(({ value, isBest, daggers }) => {
      if (value === undefined) return 'failed';
      const number = value.toFixed(4);
      return `${isBest ? `**${number}**` : number}${DAGGERS[daggers]}`;
    });
  const line = (words: readonly string[]) => `| ${words.map((word) => word.replaceAll('|', '\\|')).join(' | ')} |`;
  const lines = [
    line([data.measure, ...data.systems.map(({ name }) => name), 'self hits']),
    line(['---', ...data.systems.map(() => '---:'), '---']),
    ...tableRows(data).map(({ name, entries, selfHits }) => line([name, ...cells(entries), selfHits])),
  ];
  const systems = data.systems.map(({ name, description }) => `- ${name}: ${description}`);
  const verdicts = verdictLines(data).map((words) => `- ${words}`);
  return [
    ...[...parityLines(data), ...verdicts, ...(verdicts.length === 0 ? [] : [''])],
    ...[...lines, '', tableLegend(data), '', ...systems, '', ...changesInMarkdown(data)],
  ].join('\n');
}

function parityLines({ parity }: SuiteData): string[] {
  const off = parity.filter(({ verdict }) => verdict === 'off');
  if (off.length === 0) return [];
  const named = off.map(
    ({ set, system, got, expected }) => `${set} (${system} ${got.toFixed(4)}, published ${expected.toFixed(4)})`,
  );
  return [`**Raw baselines differ from the published scores: ${named.join('; ')}.**`, ''];
}

function changesInMarkdown({ rows, systems, meta, measure, baseline }: SuiteData): string[] {
  const changed = systems.filter(({ name }) => name !== baseline);
  if (changed.length === 0) return [];
  const lines = rows.flatMap((row) =>
    changed.flatMap(({ name }) => {
      const test = row.cells[name]?.test;
      if (test === undefined) return [];
      const { delta, interval, randomization, holm, helped, hurt, unchanged } = test;
      const range = `${signed(interval[0])} to ${signed(interval[1])}`;
      return `| ${row.name} | ${name} | ${signed(delta)} | ${range} | ${short(randomization)} | ${short(holm ?? 1)} | ${helped} / ${hurt} / ${unchanged} |`;
    }),
  );
  const all = meta.map(({ system, effect, interval, p, studies }) => {
    const range = interval === undefined ? `needs at least ${FEWEST_SETS} sets` : rangeOf(interval);
    return `| ${pooledSets(studies, rows.length)} (random effects) | ${system} | ${signed(effect)} | ${range} | ${p === undefined ? '' : short(p)} | | |`;
  });
  return [
    `| change of ${measure} from ${baseline} | system | mean | 95 % interval | p | p, Holm | helped / hurt / unchanged |`,
    '| --- | --- | ---: | --- | ---: | ---: | --- |',
    ...lines,
    ...all,
    '',
  ];
}

function rangeOf({ low, high }: { low: number; high: number }): string {
  return `${signed(low)} to ${signed(high)}`;
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;
}

function short(p: number): string {
  return p < 0.0001 ? '< .0001' : p.toFixed(4);
}

const TEX_DAGGERS = ['', '$^{\\dagger}$', '$^{\\ddagger}$'];

/**
 * The table in LaTeX, for the package booktabs: the best score of a row is bold, daggers mark significant changes. A note below it explains
 * both, and the column of self hits.
 */
export function latexTable(data: SuiteData): string {
  const rows = tableRows(data);
  const cell = ({ value, isBest, daggers }: Entry) => {
    if (value === undefined) return '--';
    const number = value.toFixed(4).replace(/^0/, '');
    return `${isBest ? `\\textbf{${number}}` : number}${TEX_DAGGERS[daggers]}`;
  };
  const line = ({ name, entries, selfHits }: TableRow) =>
    `${[tex(name), ...entries.map(cell), tex(selfHits)].join(' & ')} \\\\`;
  const off = parityLines(data).map((words) => `% ${words.replaceAll('**', '')}`.trimEnd());
  return [
    '% Needs \\usepackage{booktabs}. Put it into a table with a caption: \\begin{table} \\centering \\input{table} \\caption{...} \\end{table}',
    ...off.filter((words) => words !== '%'),
    `\\begin{tabular}{l${'r'.repeat(data.systems.length)}l}`,
    '\\toprule',
    `${[tex(data.measure), ...data.systems.map(({ name }) => tex(name)), 'self hits'].join(' & ')} \\\\`,
    '\\midrule',
    ...rows.filter(({ isMean }) => !isMean).map(line),
    ...(rows.some(({ isMean }) => isMean) ? ['\\midrule'] : []),
    ...rows.filter(({ isMean }) => isMean).map(line),
    '\\bottomrule',
    '\\end{tabular}',
    '\\par\\smallskip',
    `{\\footnotesize ${texNote(data)}\\par}`,
    '',
  ].join('\n');
}

function texNote({ measure, baseline }: SuiteData): string {
  const daggers = `$^{\\dagger}$ $p<.05$, $^{\\ddagger}$ $p<.01$ against ${tex(baseline)}: ${TEST_IN_WORDS}.`;
  return `${tex(measure)}; bold: the best score of a row. ${daggers} ${SELF_HITS_IN_WORDS}.`;
}

const TEX: Record<string, string> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
};

/** Escapes text for LaTeX. */
function tex(text: string): string {
  return text.replace(/[\\~^]|[&%$#_{}]/g, (character) => TEX[character] ?? `\\${character}`);
}

const CSV_HEAD =
  'set,system,measure,value,queries,documents,baseline,delta,low,high,p,p_holm,helped,hurt,unchanged,milliseconds,prompt_tokens,completion_tokens,self_hits';

/** All measures, one per line, with the test of the compared measure. */
export function csvTable({ rows, means, measure, baseline }: SuiteData): string {
  const lines = rows.flatMap((row) =>
    Object.entries(row.cells).flatMap(([system, cell]) =>
      Object.entries(cell.measures).map(([name, value]) => {
        const test = name === measure ? cell.test : undefined;
        return csvLine([
          ...[row.name, system, name, value, row.queries, row.documents],
          ...[test && baseline, test?.delta, test?.interval[0], test?.interval[1], test?.randomization, test?.holm],
          ...[test?.helped, test?.hurt, test?.unchanged, cell.milliseconds],
          ...[cell.tokens?.prompt, cell.tokens?.completion, cell.selfHits],
        ]);
      }),
    ),
  );
  const averages = means.flatMap(({ label, measures }) =>
    Object.entries(measures).flatMap(([system, values]) =>
      Object.entries(values).map(([name, value]) => csvLine([label, system, name, value, ...Array<undefined>(15)])),
    ),
  );
  return `${[CSV_HEAD, ...lines, ...averages].join('\n')}\n`;
}

/** Quotes a field where RFC 4180 asks for it. A text that a spreadsheet would run as a formula gets an apostrophe. */
function csvLine(fields: readonly (string | number | undefined)[]): string {
  return fields
    .map((field = '') => {
      const text = typeof field === 'string' && /^[=+\-@\t]/.test(field) ? `'${field}` : String(field);
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    })
    .join(',');
}
