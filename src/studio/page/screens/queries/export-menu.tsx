import { useState } from 'preact/hooks';
import type { QueryComparison } from '../../../shapes/queries.ts';
import { Button } from '../../components/button.tsx';
import { Command } from '../../components/empty.tsx';
import { Text } from '../../components/text.tsx';

/** What can be taken along: files of what is on the screen, and how to get it again. */
export function ExportMenu({ comparison, address }: { comparison: QueryComparison; address: string }) {
  const { a, b, before, overlap, command, code } = comparison;
  const chosen = new URLSearchParams(address);
  for (const [name, value] of Object.entries({ a, b, measure: comparison.measure })) chosen.set(name, value);
  const isJudged = before !== null;
  const files: [name: string, label: string, isThere: boolean][] = [
    ['run-a', `TREC run of A, ${a}`, overlap !== null],
    ['run-b', `TREC run of B, ${b}`, overlap !== null],
    ['qrels', 'TREC qrels', isJudged],
    ['queries', 'Values as CSV', isJudged],
    ['quepid-ratings', 'Ratings for Quepid', isJudged],
    ['quepid-snapshot', 'Snapshot of B for Quepid', overlap !== null],
    ['report', 'HTML page', isJudged && overlap !== null],
  ];
  return (
    <details class="exports">
      <summary>Export</summary>
      <ul class="links">
        {files
          .filter(([, , isThere]) => isThere)
          .map(([name, label]) => (
            <li key={name}>
              <a href={`/api/queries/export/${name}?${chosen}`} download>
                <Text value={label} />
              </a>
            </li>
          ))}
      </ul>
      {command !== null && <Copied label="command" text={command} />}
      {code !== null && <Copied label="code" text={code} />}
    </details>
  );
}

function Copied({ label, text }: { label: string; text: string }) {
  const [said, setSaid] = useState('');
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setSaid('Copied.'),
      () => setSaid('The browser refused; select the text.'),
    );
  return (
    <div class="copied">
      <Command>{text}</Command>
      <div class="actions">
        <Button onClick={() => void copy()}>Copy as {label}</Button>
        <span class="soft" role="status">
          {said}
        </span>
      </div>
    </div>
  );
}
