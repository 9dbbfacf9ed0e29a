import { useState } from 'preact/hooks';
import type { FoundDocuments, JudgeQuery } from '../../shapes/judge.ts';
import { get, send } from '../client/request.ts';
import { Button } from '../components/button.tsx';
import { Field } from '../components/field.tsx';
import { Notice } from '../components/notice.tsx';
import { Text } from '../components/text.tsx';

interface FinderProps {
  address: string;
  judge: string;
  query: JudgeQuery;
  onAdded: () => void;
}

/** Finds by words what every search missed; what is added is judged as the rest. */
export function Finder({ address, judge, query, onAdded }: FinderProps) {
  const [words, setWords] = useState('');
  const [found, setFound] = useState<FoundDocuments['documents']>();
  const [error, setError] = useState<unknown>();
  const search = async () => {
    setError(undefined);
    try {
      const asked = new URLSearchParams({ row: `${query.row}`, words });
      setFound((await get<FoundDocuments>(`${address}/find?${asked}`)).documents);
    } catch (fault) {
      setError(fault);
    }
  };
  const add = async (document: string) => {
    try {
      await send('POST', `${address}/found`, { judge, row: query.row, document });
      setFound((known) => known?.map((one) => (one.id === document ? { ...one, isPooled: true } : one)));
      onAdded();
    } catch (fault) {
      setError(fault);
    }
  };
  return (
    <details class="card judge-finder">
      <summary>Is a document missing? Search the corpus by words</summary>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void search();
        }}
      >
        <Field label="Words" type="search" value={words} onInput={setWords} />
        <Button type="submit" disabled={words.trim() === ''}>
          Search
        </Button>
      </form>
      <Notice error={error} />
      <p role="status" class="soft">
        {found && (found.length === 0 ? 'No document holds these words.' : `${found.length} found`)}
      </p>
      <ul class="judge-found">
        {found?.map(({ id, text, isPooled }) => (
          <li key={id}>
            <p>
              <span class="soft">
                <Text value={id} />
              </span>{' '}
              <Text value={text} lines={3} />
            </p>
            <Button disabled={isPooled} onClick={() => void add(id)} label={`Add ${id}`}>
              {isPooled ? 'Among the results' : 'Add'}
            </Button>
          </li>
        ))}
      </ul>
    </details>
  );
}
