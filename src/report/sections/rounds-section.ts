import { score } from '../figures.ts';
import { labelOf } from '../labels.ts';
import { html } from '../markup.ts';
import { type Line, linePlot } from '../plots/line-plot.ts';
import type { Section } from '../whole-page.ts';
import { dataTable } from './data-table.ts';

/** What a round of both trainings reached on the development queries. */
export interface RoundFigures {
  round: number;
  /** The arms by name, each at its best alpha. */
  arms: Readonly<Record<string, { alpha?: number | undefined; value: number }>>;
  measure: string;
  /** The arm that chooses the best round. */
  chosenBy: string;
}

/** Renders the path over the rounds: a plot, and a table of all arms. Undefined if there is only one round. */
export function roundsSection(rounds: readonly RoundFigures[], best: number): Section | undefined {
  const [first] = rounds;
  if (first === undefined) return undefined;
  const { measure, chosenBy, arms } = first;
  const names = Object.keys(arms);
  const lines = names.flatMap((name): Line[] => {
    const points = rounds.map(({ round, arms: own }) => [round, own[name]?.value ?? 0] as const);
    return name === chosenBy || name === 'raw' || name === 'aligned'
      ? [{ name: labelOf(name), kind: name === chosenBy ? 'gain' : name === 'raw' ? 'same' : 'loss', points }]
      : [];
  });
  const rows = rounds.map(({ round, arms: own }) => [
    html`${round}${round === best ? html` <small>best</small>` : undefined}`,
    ...names.map((name) => {
      const { alpha, value } = own[name] ?? { value: 0 };
      const content = html`${score(value)}${alpha === undefined ? undefined : html`<small>alpha ${alpha}</small>`}`;
      return { content, look: round === best && name === chosenBy ? 'best' : '' };
    }),
  ]);
  const plot = linePlot(lines, { label: `${measure} on the development queries, by round`, axis: 'round' });
  return {
    title: 'The rounds',
    body: html`<p class="soft">Each round aligns the LLM and trains the retriever, from the models of the round before. ${measure} on the development queries, each arm at its best alpha. Round ${best} is best by ${labelOf(chosenBy)}; only its models were searched with the test queries.</p>${plot}${dataTable(['Round', ...names.map(labelOf)], rows)}`,
  };
}
