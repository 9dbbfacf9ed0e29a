import { useRef, useState } from 'preact/hooks';
import type { QueryComparison } from '../../../shapes/queries.ts';
import { Button } from '../../components/button.tsx';
import { useWidth } from '../../components/plot.tsx';
import { Text } from '../../components/text.tsx';
import { signed } from './numbers.ts';
import { type Row, shortLabel, UNCHANGED } from './rows.ts';
import { savePng, saveSvg } from './save-plot.ts';

interface WaterfallProps {
  /** From the largest gain to the largest loss. */
  rows: readonly Row[];
  comparison: QueryComparison;
  onOpen: (row: Row) => void;
}

const HEIGHT = 260;
const [LEFT, RIGHT, TOP, BOTTOM] = [52, 8, 12, 26];
/** Tiny changes must not look large. */
const LEAST_CHANGE = 0.05;
/** How far a key goes, in bars. */
const STEPS: Record<string, number> = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
const PAGE = 10;

/**
 * One bar for each query, the most helped on the left. The bars of a sign are one path, so that 10,000 are drawn as quickly as ten. It is
 * used as a slider: arrow keys and pointer choose a bar, Enter or a click opens its query.
 */
export function Waterfall({ rows, comparison, onOpen }: WaterfallProps) {
  const frame = useRef<HTMLDivElement>(null);
  const drawing = useRef<SVGSVGElement>(null);
  const width = useWidth(frame);
  const [chosen, setChosen] = useState(0);
  const at = Math.min(chosen, rows.length - 1);
  const row = rows[at]!;
  const scale = scaleOf(rows, width);
  const title = `Change of ${comparison.measure} by query, from ${comparison.a} to ${comparison.b}`;
  const placeOf = (event: PointerEvent | MouseEvent) => {
    const { left } = frame.current!.getBoundingClientRect();
    return Math.max(0, Math.min(rows.length - 1, Math.floor((event.clientX - left - LEFT) / scale.slot)));
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'Enter') onOpen(row);
    const to = goal(event.key, at, rows.length);
    if (to === undefined && event.key !== 'Enter') return;
    event.preventDefault();
    if (to !== undefined) setChosen(to);
  };
  return (
    <section class="part" aria-labelledby="waterfall-heading">
      <h2 id="waterfall-heading">Helped and hurt</h2>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the keys of a slider are handled in onKeyDown */}
      <div
        class="waterfall"
        ref={frame}
        role="slider"
        tabIndex={0}
        aria-label={`${title}. Enter opens the query`}
        aria-valuemin={1}
        aria-valuemax={rows.length}
        aria-valuenow={at + 1}
        aria-valuetext={`${at + 1} of ${rows.length}: ${signed(row.change!)}, ${shortLabel(row)}`}
        onKeyDown={onKey}
        onPointerMove={(event) => setChosen(placeOf(event))}
        onClick={(event) => onOpen(rows[placeOf(event)]!)}
      >
        {width > 0 && <Bars {...{ rows, width, scale, at, title, drawing }} />}
      </div>
      <div class="bar">
        <p class="soft one-line">
          <span class={row.change! > UNCHANGED ? 'gain' : row.change! < -UNCHANGED ? 'loss' : ''}>
            {signed(row.change!)}
          </span>{' '}
          <Text value={shortLabel(row)} />
        </p>
        <div class="actions">
          <Button
            kind="quiet"
            label="Save the plot as SVG"
            onClick={() => saveSvg(drawing.current!, 'helped-and-hurt')}
          >
            SVG
          </Button>
          <Button
            kind="quiet"
            label="Save the plot as PNG"
            onClick={() => void savePng(drawing.current!, 'helped-and-hurt')}
          >
            PNG
          </Button>
        </div>
      </div>
    </section>
  );
}

function goal(key: string, at: number, length: number): number | undefined {
  if (key === 'Home') return 0;
  if (key === 'End') return length - 1;
  const step = key === 'PageUp' ? PAGE : key === 'PageDown' ? -PAGE : STEPS[key];
  return step === undefined ? undefined : Math.max(0, Math.min(length - 1, at + step));
}

interface Scale {
  /** Width of a bar with its gap. */
  slot: number;
  largest: number;
  x: (at: number) => number;
  y: (change: number) => number;
}

function scaleOf(rows: readonly Row[], width: number): Scale {
  const ends = [rows[0]!, rows.at(-1)!];
  const largest = Math.max(LEAST_CHANGE, ...ends.map(({ change }) => Math.abs(change!)));
  const slot = Math.max(0, width - LEFT - RIGHT) / rows.length;
  const middle = TOP + (HEIGHT - TOP - BOTTOM) / 2;
  const y = (change: number) => middle - (change / largest) * (middle - TOP);
  return { slot, largest, x: (at) => LEFT + at * slot, y };
}

interface BarsProps {
  rows: readonly Row[];
  width: number;
  scale: Scale;
  at: number;
  title: string;
  drawing: { current: SVGSVGElement | null };
}

function Bars({ rows, width, scale, at, title, drawing }: BarsProps) {
  const { x, y, slot, largest } = scale;
  const thick = Math.max(0.4, slot > 4 ? slot - 1 : slot);
  const path = (sign: 1 | -1) =>
    rows
      .map(({ change }, place) => {
        if (Math.sign(change!) !== sign || Math.abs(change!) <= UNCHANGED) return '';
        return `M${x(place).toFixed(2)} ${y(0).toFixed(2)}h${thick.toFixed(2)}V${y(change!).toFixed(2)}h${(-thick).toFixed(2)}z`;
      })
      .join('');
  const marks = [largest, largest / 2, 0, -largest / 2, -largest];
  return (
    <svg ref={drawing} width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} aria-hidden="true">
      <title>{title}</title>
      {marks.map((mark) => (
        <g key={mark}>
          <line class="grid" x1={LEFT} x2={width - RIGHT} y1={y(mark)} y2={y(mark)} />
          <text class="mark" x={LEFT - 8} y={y(mark) + 4} text-anchor="end">
            {signed(mark, 2)}
          </text>
        </g>
      ))}
      <path class="gain-bars" d={path(1)} />
      <path class="loss-bars" d={path(-1)} />
      <line class="chosen" x1={x(at) + thick / 2} x2={x(at) + thick / 2} y1={TOP} y2={HEIGHT - BOTTOM} />
      <text class="mark" x={LEFT} y={HEIGHT - 6}>
        most helped
      </text>
      <text class="mark" x={width - RIGHT} y={HEIGHT - 6} text-anchor="end">
        most hurt
      </text>
    </svg>
  );
}
