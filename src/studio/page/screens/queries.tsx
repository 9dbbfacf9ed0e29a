import { Command, Empty } from '../components/empty.tsx';

export default function Queries() {
  return (
    <>
      <h1>Queries</h1>
      <Empty title="No evaluation to show">
        <p>An evaluation of raw and expanded queries is compared here, query by query. This command makes one:</p>
        <Command>npx llm-qe demo</Command>
      </Empty>
    </>
  );
}
