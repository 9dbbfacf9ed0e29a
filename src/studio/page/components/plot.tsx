import type * as PlotModule from '@observablehq/plot';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Notice } from './notice.tsx';

interface PlotProps {
  /** What it shows, in a sentence: screen readers read it in place of the drawing. */
  label: string;
  /** Makes the options; called with the module, which is loaded when the first plot is shown, and the width there is. */
  options: (plot: typeof PlotModule, width: number) => PlotModule.PlotOptions;
  /** Drawn again when one of these changes. */
  inputs: readonly unknown[];
}

/**
 * A plot by Observable Plot. Its class is fixed, because the policy of the page names the hash of the style sheet that Plot writes
 * into the drawing (see `http/headers.ts`): options may not set `className`.
 */
export function Plot({ label, options, inputs }: PlotProps) {
  const frame = useRef<HTMLDivElement>(null);
  const [plot, setPlot] = useState<typeof PlotModule>();
  const [fault, setFault] = useState<unknown>();
  const width = useWidth(frame);
  useEffect(() => {
    import('@observablehq/plot').then(setPlot, setFault);
  }, []);
  useEffect(() => {
    if (plot === undefined || width === 0) return;
    const drawn = plot.plot({ ...options(plot, width), width, className: 'plot', ariaLabel: label });
    drawn.setAttribute('role', 'img');
    drawn.setAttribute('aria-label', label);
    frame.current!.replaceChildren(drawn);
  }, [plot, width, label, ...inputs]);
  return (
    <>
      <Notice error={fault} fix="Reload the page." />
      <div class="drawing" ref={frame} />
    </>
  );
}

/** The width of an element, as it changes. */
export function useWidth(element: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  return width;
}
