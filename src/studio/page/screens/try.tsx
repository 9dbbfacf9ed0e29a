import { Command, Empty } from '../components/empty.tsx';

export default function Try() {
  return (
    <>
      <h1>Try a query</h1>
      <Empty title="No corpus is open">
        <p>Start the studio with documents to search: a JSONL file, or a folder in the layout of BEIR.</p>
        <Command>llm-qe studio --corpus docs.jsonl</Command>
      </Empty>
    </>
  );
}
