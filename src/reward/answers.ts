import { type AnswerRecord, answerSchema } from '../data/index.ts';
import { IdSet, readJsonl } from '../files/index.ts';
import { DataError } from '../system/index.ts';
import { readFinishedManifest } from './stage-inputs.ts';

/**
 * Reads `answers.jsonl` as a stream.
 *
 * @throws DataError for a broken line, a query answered twice, and a file that is not finished, as the manifest beside it says
 */
export async function* readAnswers(file: string, signal?: AbortSignal): AsyncGenerator<AnswerRecord> {
  await readFinishedManifest(file);
  const seen = new IdSet();
  for await (const { value, line } of readJsonl(file, answerSchema, signal)) {
    if (!seen.add(value.queryId)) {
      throw new DataError('the query is answered twice', {
        file,
        line,
        id: value.queryId,
        fix: 'Remove one of the two.',
      });
    }
    yield value;
  }
}
