import { useEffect, useRef } from 'preact/hooks';
import type { AlignedData, Options } from 'uplot';
import { theme } from '../shell/theme.ts';
import { useWidth } from './plot.tsx';

interface CurvesProps {
  /** What it shows, in a sentence. */
  label: string;
  /** The values of the horizontal axis, rising. */
  x: readonly number[];
  series: readonly { label: string; values: readonly (number | null)[] }[];
  height?: number;
}

/** Curves by uPlot, for many points that keep coming, such as those of a training. */
export function Curves({ label, x, series, height = 220 }: CurvesProps) {
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame);
  useEffect(() => {
    if (width === 0) return;
    let drawn: { destroy(): void } | undefined;
    let isGone = false;
    void import('uplot').then(({ default: UPlot }) => {
      if (isGone) return;
      const data = [x, ...series.map(({ values }) => values)] as unknown as AlignedData;
      drawn = new UPlot(optionsOf(frame.current!, series, width, height), data, frame.current!);
    });
    return () => {
      isGone = true;
      drawn?.destroy();
    };
  }, [x, series, width, height, theme.value]);
  return <div class="drawing" role="img" aria-label={label} ref={frame} />;
}

function optionsOf(frame: Element, series: CurvesProps['series'], width: number, height: number): Options {
  const colour = (name: string) => resolved(frame, name);
  const axis = { stroke: colour('--soft'), grid: { stroke: colour('--line') }, ticks: { stroke: colour('--line') } };
  const strokes = ['--gain', '--loss', '--soft'].map(colour);
  return {
    ...{ width, height },
    scales: { x: { time: false } },
    axes: [axis, { ...axis, size: 60, values: (_plot, ticks) => ticks.map(short) }],
    series: [
      { label: 'Step' },
      ...series.map(({ label }, at) => ({ label, stroke: strokes[at % strokes.length]!, width: 2, spanGaps: true })),
    ],
  };
}

/** A canvas understands no `light-dark()`: it needs the colour that the property stands for now. */
function resolved(frame: Element, property: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(${property})`;
  frame.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Learning rates are small, and would all read 0. */
function short(value: number): string {
  return value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1) : `${Number(value.toPrecision(4))}`;
}
