import { type AnswerRecord, answerSchema } from '../data/index.ts';
import { IdSet, readJsonl } from '../files/index.ts';
import { DataError } from '../system/index.ts';
import { readFinishedManifest } from './stage-inputs.ts';

/**
 * Reads `answers.jsonl` as a stream.
 *
 * @throws DataError if a line is damaged, a query has two answers, or the manifest says that the file is not finished
 */
export async function* readAnswers(file: string, signal?: AbortSignal): AsyncGenerator<AnswerRecord> {
  await readFinishedManifest(file);
  const seen = new IdSet();
  for await (const { value, line } of readJsonl(file, answerSchema, signal)) {
    if (!seen.add(value.queryId)) {
      throw new DataError('the query has two answers', {
        file,
        line,
        id: value.queryId,
        fix: 'Remove one of the two lines.',
      });
    }
    yield value;
  }
}
