import type { TextRole } from '../../embed/index.ts';
import { RequestError } from '../request-error.ts';

/** The ways in which clients say what a text is; each is looked at only if those before it say nothing. */
export interface RoleMarks {
  /** Cohere, Voyage, NVIDIA. */
  input_type?: string | null | undefined;
  /** Text Embeddings Inference, sentence-transformers. */
  prompt_name?: string | null | undefined;
  /** Jina. */
  task?: string | null | undefined;
  /** Weaviate, Gemini. */
  task_type?: string | null | undefined;
  model?: string | null | undefined;
}

const QUERY = new Set([
  'query',
  'search_query',
  'retrieval.query',
  'retrieval_query',
  'question',
  'question_answering',
]);
/** Everything that is not a search query is embedded as it is. */
const DOCUMENT = new Set([
  ...[
    'document',
    'passage',
    'search_document',
    'retrieval.passage',
    'retrieval_document',
    'retrieval.document',
    'text',
  ],
  ...['classification', 'clustering', 'image', 'separation', 'text-matching', 'semantic_similarity', 'none'],
]);
const MARKS = ['input_type', 'prompt_name', 'task', 'task_type'] as const;

/**
 * Tells a query from a document: by `input_type`, `prompt_name`, `task`, `task_type`, the ending of the model's name (`-query`, `-passage`),
 * then the address. A text of which nothing is said is a document: an expanded document would spoil an index, a query that is not
 * expanded only loses the gain.
 * @param base the role of the address, if it has one
 * @throws RequestError for a value that is neither
 */
export function roleOf(marks: RoleMarks, base?: TextRole): TextRole {
  for (const name of MARKS) {
    const value = marks[name]?.trim().toLowerCase();
    if (value === undefined || value === '') continue;
    if (QUERY.has(value)) return 'query';
    if (DOCUMENT.has(value)) return 'document';
    throw new RequestError(400, `${name}: ${JSON.stringify(value.slice(0, 80))} is not known`, {
      fix: 'Use "query" or "document".',
    });
  }
  const ending = /-(query|passage|document)$/.exec(marks.model ?? '')?.[1];
  if (ending !== undefined) return ending === 'query' ? 'query' : 'document';
  return base ?? 'document';
}
