import type { PlannedRun } from '../../../shapes/recipes.ts';
import { Text } from '../../components/text.tsx';
import { bytes, duration } from '../run/words.tsx';

/** What a run would need: time, disk, downloads, texts of the LLM, and what stands in its way. */
export function Plan({ plan }: { plan: PlannedRun }) {
  const { total, stages, inputs, files, obstacles } = plan;
  const left = stages.filter(({ state }) => state === 'to do').length;
  return (
    <>
      <dl class="figures">
        <Figure name="Time, at most" value={duration(total.seconds)} />
        <Figure name="Disk, at most" value={bytes(total.bytes)} />
        <Figure name="Tokens of the LLM, at most" value={number(total.tokens)} />
        <Figure name="Stages to do" value={`${left} of ${stages.length}`} />
      </dl>
      {total.unknown.length > 0 && (
        <p class="soft">
          Not included, because unknown: <Text value={total.unknown.join(', ')} />.
        </p>
      )}
      {obstacles.length > 0 && (
        <p class="wrong" role="alert">
          It cannot be started: <Text value={obstacles.join(', ')} />. See below.
        </p>
      )}
      <PlanTable
        label="Inputs"
        heads={['Input', 'State', 'What was found']}
        rows={inputs.map(({ input, state, detail }) => [input, state, detail])}
      />
      {files.length > 0 && (
        <PlanTable
          label="Models and their copies"
          heads={['File', 'State', 'Disk']}
          rows={files.map(({ file, state, bytes: size }) => [file, state, known(size, bytes)])}
        />
      )}
      <PlanTable
        label="Stages"
        heads={['Stage', 'State', 'Work', 'Tokens, at most', 'Disk', 'Time']}
        rows={stages.map(({ stage, round, state, work, tokens, bytes: size, seconds }) => [
          round === undefined ? stage : `round ${round}: ${stage}`,
          ...[state, work, tokens === 0 ? '' : known(tokens, number), known(size, bytes), known(seconds, duration)],
        ])}
      />
    </>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

interface PlanTableProps {
  label: string;
  heads: readonly string[];
  rows: readonly (readonly string[])[];
}

function PlanTable({ label, heads, rows }: PlanTableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard (WCAG 2.1.1)
    <section class="scrolled plan-table" aria-label={label} tabIndex={0}>
      <table>
        <caption>{label}</caption>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((cells) => (
            <tr key={cells[0]} data-state={cells[1]}>
              {cells.map((cell, at) => (
                <td key={heads[at]}>
                  <Text value={cell} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function known(value: number | null, words: (value: number) => string): string {
  return value === null ? 'unknown' : words(value);
}

function number(count: number): string {
  return Math.round(count).toLocaleString('en');
}
