import type { Judgement } from '../../evaluate/index.ts';
import type { MetricsRecord } from '../../train/index.ts';
import { labelOf } from '../labels.ts';
import { html, type Markup } from '../markup.ts';
import { type Line, linePlot } from '../plots/line-plot.ts';
import type { Section } from '../whole-page.ts';

const KINDS: Record<string, Line['kind']> = {
  zeroShot: 'same',
  sft: 'loss',
  aligned: 'gain',
  'retriever+aligned': 'gain',
};

/** Plots the measure on the development queries against alpha, one line per arm. */
export function tuningPlot({ arms }: Judgement): Markup {
  const lines = arms
    .filter(({ tuning }) => tuning.length > 0)
    .map(({ name, tuning }): Line => {
      return {
        name: labelOf(name),
        kind: KINDS[name] ?? 'same',
        dashed: name === 'retriever+aligned',
        points: tuning.map(({ alpha, value }) => [alpha, value]),
      };
    });
  return linePlot(lines, { label: 'Development queries, by weight of the expansion', axis: 'alpha' });
}

/** The metrics of each training; empty if it was not run. */
export interface TrainingRecords {
  dpo: readonly MetricsRecord[];
  sft: readonly MetricsRecord[];
  retriever?: readonly MetricsRecord[] | undefined;
  student?: readonly MetricsRecord[] | undefined;
}

/** Renders the training curves of DPO, of the SFT baseline, and of the trained encoders. */
export function trainingSection({ dpo, sft, retriever = [], student = [] }: TrainingRecords): Section | undefined {
  if ([dpo, sft, retriever, student].every(({ length }) => length === 0)) return undefined;
  const plots = [
    both(dpo, 'loss', 'DPO: loss'),
    linePlot(
      [
        line(dpo, 'train', 'rewardChosen', 'chosen', 'gain'),
        line(dpo, 'train', 'rewardRejected', 'rejected', 'loss'),
        line(dpo, 'train', 'margin', 'margin', 'same'),
      ],
      { label: 'DPO: rewards of chosen and rejected', axis: 'step' },
    ),
    both(dpo, 'accuracy', 'DPO: fraction of pairs ranked correctly'),
    linePlot(
      [
        line(dpo, 'train', 'logProbabilityChosen', 'chosen', 'gain'),
        line(dpo, 'train', 'logProbabilityRejected', 'rejected', 'loss'),
      ],
      { label: 'DPO: log-probabilities', axis: 'step' },
    ),
    linePlot([line(dpo, 'train', 'gradientNorm', 'before clipping', 'same')], {
      label: 'DPO: gradient norm',
      axis: 'step',
    }),
    sft.length === 0 ? undefined : both(sft, 'loss', 'SFT: loss'),
    retriever.length === 0 ? undefined : both(retriever, 'loss', 'Retriever: loss'),
    ...searched(retriever, 'Retriever'),
    student.length === 0 ? undefined : both(student, 'loss', 'Student: loss'),
    ...searched(student, 'Student'),
  ];
  const body = html`<div class="columns">${plots.map((plot) => plot && html`<section>${plot}</section>`)}</div>`;
  return { title: 'Training', body };
}

/** Plots nDCG@10 on the development queries, where it was measured during training. */
function searched(records: readonly MetricsRecord[], name: string): Markup[] {
  const lines = [
    line(records, 'dev', 'expanded nDCG@10', 'expanded queries', 'gain'),
    line(records, 'dev', 'nDCG@10', 'raw queries', 'same'),
  ].filter(({ points }) => points.length > 0);
  if (lines.length === 0) return [];
  return [linePlot(lines, { label: `${name}: nDCG@10 on the development queries`, axis: 'step' })];
}

function both(records: readonly MetricsRecord[], metric: string, label: string): Markup {
  const dev: Line = { ...line(records, 'dev', metric, 'development', 'loss'), dashed: true };
  return linePlot([line(records, 'train', metric, 'training', 'gain'), dev], { label, axis: 'step' });
}

function line(
  records: readonly MetricsRecord[],
  split: MetricsRecord['split'],
  metric: string,
  name: string,
  kind: Line['kind'],
): Line {
  const points = records.flatMap((record): [number, number][] => {
    const value = record.values[metric];
    return record.split === split && typeof value === 'number' ? [[record.step, value]] : [];
  });
  return { name, kind, points };
}
