import type { EvaluationList } from '../../shapes/queries.ts';
import { useLoad } from '../client/load.ts';
import { get } from '../client/request.ts';
import { Command, Empty } from '../components/empty.tsx';
import { Notice } from '../components/notice.tsx';
import { Text } from '../components/text.tsx';
import { place } from '../shell/place.ts';
import { Comparison } from './queries/comparison.tsx';

/** Two arms of an evaluation, query by query. */
export default function Queries() {
  const { data, error, reload } = useLoad((signal) => get<EvaluationList>('/api/queries', { signal }));
  const asked = place.value.params.get('evaluation');
  const shown = asked ?? data?.evaluations[0]?.id;
  return (
    <>
      <h1>Queries</h1>
      <Notice error={error} onRetry={reload} />
      {data?.evaluations.length === 0 && (
        <Empty title="No evaluation to show">
          <p>
            An evaluation of raw and expanded queries is compared here, query by query. The folder{' '}
            <Text value={data.folder} /> holds none. This command makes one:
          </p>
          <Command>npx llm-qe demo</Command>
        </Empty>
      )}
      {data !== undefined && shown !== undefined && data.evaluations.length > 0 && (
        <Comparison evaluations={data.evaluations} evaluation={shown} />
      )}
    </>
  );
}
