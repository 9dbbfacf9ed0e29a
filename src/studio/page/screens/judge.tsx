import { Command, Empty } from '../components/empty.tsx';

export default function Judge() {
  return (
    <>
      <h1>Judge</h1>
      <Empty title="No results to judge">
        <p>Start the studio with the documents whose results you want to judge.</p>
        <Command>llm-qe studio --corpus docs.jsonl</Command>
      </Empty>
    </>
  );
}
