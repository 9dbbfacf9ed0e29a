import type { MetricsRecord } from '../loop/metrics.ts';
import type { PreferenceExample } from './preference-task.ts';

/** Number of steps to average before comparing. */
const WINDOW = 10;

/** Fall of the end token's log-probability, in nats, that triggers a warning. */
const END_FALL = 1;

/** Ratio of chosen to rejected length above which training may teach length itself. */
const LENGTH_RATIO = 1.25;

interface Means {
  rewardChosen: number;
  margin: number;
  logProbabilityEnd: number;
}

/**
 * Warns of two failures of preference training that a falling loss hides: chosen answers become less likely too, only
 * more slowly than rejected ones; and answers no longer end. Each warning is given once.
 */
export class PreferenceWatch {
  readonly #warn: (line: string) => void;
  #window: Means[] = [];
  #first: Means | undefined;
  #before: Means | undefined;
  readonly #told = new Set<string>();

  constructor(warn: (line: string) => void) {
    this.#warn = warn;
  }

  /** Takes the metrics of one training step. */
  see({ step, values }: Pick<MetricsRecord, 'step' | 'values'>): void {
    const { rewardChosen, margin, logProbabilityEnd } = values;
    if (typeof rewardChosen !== 'number' || typeof margin !== 'number') return;
    this.#window.push({ rewardChosen, margin, logProbabilityEnd: logProbabilityEnd ?? 0 });
    if (this.#window.length < WINDOW) return;
    const now = meansOf(this.#window);
    this.#window = [];
    if (this.#before !== undefined) this.#compare(step, this.#before, now, this.#first!);
    this.#first ??= now;
    this.#before = now;
  }

  #compare(step: number, before: Means, now: Means, first: Means): void {
    const falls = now.rewardChosen < before.rewardChosen && now.rewardChosen < 0;
    if (falls && now.margin > before.margin) {
      this.#tell(
        'chosen',
        `step ${step}: the reward of chosen answers falls (${show(before.rewardChosen)} to ${show(now.rewardChosen)}) while the margin grows (${show(before.margin)} to ${show(now.margin)}): both sides become less likely. Lower the learning rate, raise beta, or add the loss type sft.`,
      );
    }
    if (now.logProbabilityEnd < first.logProbabilityEnd - END_FALL) {
      this.#tell(
        'end',
        `step ${step}: answers no longer end reliably (log-probability of the end token ${show(first.logProbabilityEnd)} at first, ${show(now.logProbabilityEnd)} now) and may grow very long. Match the lengths of chosen and rejected answers, or raise beta.`,
      );
    }
  }

  #tell(what: string, line: string): void {
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#warn(line);
  }
}

/** Wraps a step listener with a watch that sees each step first. */
export function watchSteps({
  onStep,
  warn,
}: {
  onStep?: ((record: MetricsRecord) => void) | undefined;
  warn?: ((line: string) => void) | undefined;
}): (record: MetricsRecord) => void {
  const watch = new PreferenceWatch((line) => warn?.(line));
  return (record) => {
    watch.see(record);
    onStep?.(record);
  };
}

/** A warning if the chosen answers are much longer than the rejected ones; otherwise undefined. */
export function describeLengthBias(
  pairs: readonly Pick<PreferenceExample, 'chosen' | 'rejected'>[],
): string | undefined {
  const mean = (of: (pair: (typeof pairs)[number]) => number) =>
    pairs.reduce((sum, pair) => sum + of(pair), 0) / Math.max(1, pairs.length);
  const [chosen, rejected] = [mean((pair) => pair.chosen.length), mean((pair) => pair.rejected.length)];
  if (chosen <= LENGTH_RATIO * rejected) return undefined;
  return `chosen answers are longer than rejected ones (${chosen.toFixed(1)} tokens against ${rejected.toFixed(1)}): the model may learn length. Match the lengths when building the pairs.`;
}

function meansOf(window: readonly Means[]): Means {
  const mean = (of: (one: Means) => number) => window.reduce((sum, one) => sum + of(one), 0) / window.length;
  return {
    rewardChosen: mean((one) => one.rewardChosen),
    margin: mean((one) => one.margin),
    logProbabilityEnd: mean((one) => one.logProbabilityEnd),
  };
}

function show(value: number): string {
  return value.toPrecision(3);
}
