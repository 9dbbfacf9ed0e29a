import { Command, Empty } from '../components/empty.tsx';

export default function Exports() {
  return (
    <>
      <h1>Exports</h1>
      <Empty title="Nothing to export yet">
        <p>Runs, judgements and plots are exported here once there are some. This command makes a first run:</p>
        <Command>npx llm-qe demo</Command>
      </Empty>
    </>
  );
}
