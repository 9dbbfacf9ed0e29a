import { useMemo } from 'preact/hooks';
import type { Curve, TrainingCurves } from '../../../shapes/runs.ts';
import { useLoad } from '../../client/load.ts';
import { get } from '../../client/request.ts';
import { Curves } from '../../components/curves.tsx';
import { Notice } from '../../components/notice.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { visible } from '../../components/text.tsx';
import { runApi } from './words.tsx';

interface TrainingProps {
  name: string;
  stage: string;
  /** Changes when there is more to load. */
  seen: number;
}

const LABELS: Record<string, string> = {
  loss: 'Loss',
  accuracy: 'Accuracy of rewards',
  margin: 'Margin of rewards',
  learningRate: 'Learning rate',
  rewardChosen: 'Reward of the chosen text',
  rewardRejected: 'Reward of the rejected text',
  logProbabilityChosen: 'Log-probability of the chosen text',
  logProbabilityRejected: 'Log-probability of the rejected text',
  logProbabilityEnd: 'Log-probability of the end token',
  tokensChosen: 'Tokens of the chosen text',
  tokensRejected: 'Tokens of the rejected text',
  gradientNorm: 'Norm of the gradient',
  tokens: 'Tokens',
  tokensPerSecond: 'Tokens per second',
  memory: 'Memory, MB',
};

/** What a value is multiplied by to be in the unit of its label. */
const SCALES: Record<string, number> = { memory: 1e-6 };

/** The curves of a training, and the same as numbers. */
export function Training({ name, stage, seen }: TrainingProps) {
  const path = runApi(name, `/curves?stage=${encodeURIComponent(stage)}`);
  const { data, error } = useLoad((signal) => get<TrainingCurves>(path, { signal }), [path, seen]);
  const curves = useMemo(() => data?.curves.map(inItsUnit) ?? [], [data]);
  const charts = useMemo(() => chartsOf(curves), [curves]);
  return (
    <>
      <Notice error={error} />
      {data?.curves.length === 0 && <p>No step has been taken yet.</p>}
      <div class="charts">
        {charts.map(({ title, x, series }) => (
          <figure key={title}>
            <figcaption>{title}</figcaption>
            <Curves label={`${title} by step; the table below holds the numbers.`} x={x} series={series} height={200} />
          </figure>
        ))}
      </div>
      {data && data.curves.length > 0 && (
        <details class="more">
          <summary>The numbers{data.isThinned ? ', of which some steps are left out' : ''}</summary>
          <Numbers curves={curves} />
        </details>
      )}
    </>
  );
}

function inItsUnit(curve: Curve): Curve {
  const scale = SCALES[curve.name];
  if (scale === undefined) return curve;
  return { ...curve, points: curve.points.map(([step, value]) => [step, value === null ? null : value * scale]) };
}

interface Chart {
  title: string;
  x: number[];
  series: { label: string; values: (number | null)[] }[];
}

/** One chart for each metric, with training and dev. The known come first, in the order in which they are looked at. */
function chartsOf(curves: readonly Curve[]): Chart[] {
  const known = Object.keys(LABELS);
  const names = [...new Set(curves.map(({ name }) => name))];
  const rankOf = (name: string) => (known.includes(name) ? known.indexOf(name) : known.length);
  names.sort((a, b) => rankOf(a) - rankOf(b));
  return names.map((name) => {
    const own = curves.filter((curve) => curve.name === name);
    const x = [...new Set(own.flatMap(({ points }) => points.map(([step]) => step)))].sort((a, b) => a - b);
    const series = own.map(({ split, points }) => {
      const values = new Map(points);
      return { label: split, values: x.map((step) => values.get(step) ?? null) };
    });
    return { title: LABELS[name] ?? visible(name), x, series };
  });
}

interface StepRow {
  key: string;
  step: number;
  split: Curve['split'];
  values: Map<string, number | null>;
}

function Numbers({ curves }: { curves: readonly Curve[] }) {
  const rows = useMemo(() => rowsOf(curves), [curves]);
  const names = [...new Set(curves.map(({ name }) => name))];
  const columns: Column<StepRow>[] = [
    { key: 'step', label: 'Step', width: '6rem', cell: ({ step }) => step, sort: ({ step }) => step },
    { key: 'split', label: 'On', width: '6rem', cell: ({ split }) => split, sort: ({ split }) => split },
    ...names.map((name, at) => ({
      ...{ key: `value ${name}`, label: LABELS[name] ?? visible(name), align: 'end' as const, isExtra: at > 0 },
      cell: ({ values }: StepRow) => digits(values.get(name)),
      sort: ({ values }: StepRow) => values.get(name) ?? Number.NEGATIVE_INFINITY,
    })),
  ];
  return <Table label="Metrics of the training" columns={columns} rows={rows} keyOf={({ key }) => key} />;
}

function rowsOf(curves: readonly Curve[]): StepRow[] {
  const rows = new Map<string, StepRow>();
  for (const { name, split, points } of curves) {
    for (const [step, value] of points) {
      const key = `${step} ${split}`;
      if (!rows.has(key)) rows.set(key, { key, step, split, values: new Map() });
      rows.get(key)!.values.set(name, value);
    }
  }
  return [...rows.values()].sort((a, b) => a.step - b.step || (a.split < b.split ? 1 : -1));
}

function digits(value: number | null | undefined): string {
  if (value === undefined) return '';
  return value === null ? 'no number' : `${Number(value.toPrecision(4))}`;
}
