import { basename, extname } from 'node:path';
import { readTextFile } from '../files/index.ts';
import { DataError, UsageError } from '../system/index.ts';
import type { ChatMessage } from './generator.ts';

/**
 * "Here is a passage to answer the question:" and its variants, as the published evaluation lists them: with or without "possible"
 * or "potential", with or without the purpose of the passage, about "the" or "your" question.
 */
const OPENING =
  /\bhere(?: is|['’]s) (?:a|the)(?: possible| potential)? passage(?: (?:to answer|that answers|answering|that attempts to answer) (?:the|your) question)?:/i;

/**
 * Cuts the boilerplate with which a chat model introduces a passage: everything up to the end of the first opening. Also trims
 * white space at both ends. A text without an opening is otherwise unchanged.
 */
export function cutOpening(text: string): string {
  const found = OPENING.exec(text);
  return (found === null ? text : text.slice(found.index + found[0].length)).trim();
}

/** The published tasks: passage, answer from a document, rewrite, keywords, and answer after its rationale. */
export const TASKS = ['q2d', 'q2a', 'q2q', 'q2e', 'q2c'] as const;
export type Task = (typeof TASKS)[number];

/** The published templates, verbatim (Yao et al., arXiv 2502.17057, and the code of NEUIR/LLM-QE). */
const PUBLISHED: Record<Task, string> = {
  q2d: 'Please write a passage to answer the question.\nQuestion: {query}\nPassage:',
  q2a:
    'You are given a query and a related document. Based on the query, generate a direct and relevant answer using the ' +
    'information in the document. If the query is a statement, expand on it. If it is a question, provide a direct ' +
    'answer. Avoid any extra description or irrelevant content.\nQuery: {query}\nRelated Document: {document}\nAnswer:',
  q2q: 'Output the rewrite of input query.\nQuery: {query}\nOutput:',
  q2e: 'Write a list of keywords for the given query:\nQuery: {query}\nKeywords:',
  q2c: 'Answer the following query:\n{query}\nGive the rationale before answering.',
};

/** The values that fill a prompt. */
export interface PromptFields {
  /** Id of the query, for error messages. */
  id: string;
  query: string;
  document?: string | undefined;
}

/** A prompt with `{query}` and, if it needs one, `{document}`. */
export class PromptTemplate {
  /** Short name; it becomes part of file names. */
  readonly name: string;
  readonly text: string;
  readonly needsDocument: boolean;

  /** @throws UsageError if `{query}` is missing or another name is in braces */
  constructor(name: string, text: string, file?: string) {
    const names = [...text.matchAll(PLACE)].map((match) => match[1]!);
    const unknown = names.find((place) => place !== 'query' && place !== 'document');
    if (unknown !== undefined) {
      throw new UsageError(`the prompt holds the unknown placeholder {${unknown}}`, {
        file,
        fix: 'Use only {query} and {document}. Braces around anything but a single word are kept as they are.',
      });
    }
    if (!names.includes('query')) {
      throw new UsageError('the prompt lacks {query}', { file, fix: 'Insert {query} where the query belongs.' });
    }
    this.name = name;
    this.text = text;
    this.needsDocument = names.includes('document');
  }

  /** Returns the prompt as one user message. @throws DataError if it needs a document and there is none */
  messages({ id, query, document }: PromptFields): ChatMessage[] {
    if (this.needsDocument && document === undefined) {
      throw new DataError(`prompt ${this.name} needs a document, and this query has none`, {
        id,
        fix: 'Add a document to each query, or use a prompt without {document}.',
      });
    }
    const fields: Record<string, string | undefined> = { query, document };
    // One pass with a function: `$&` and braces inside a query have no special meaning.
    return [{ role: 'user', content: this.text.replace(PLACE, (_place, name: string) => fields[name] ?? '') }];
  }
}

const PLACE = /\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** The five published prompts, by task. */
export const PROMPTS: Readonly<Record<Task, PromptTemplate>> = {
  q2d: new PromptTemplate('q2d', PUBLISHED.q2d),
  q2a: new PromptTemplate('q2a', PUBLISHED.q2a),
  q2q: new PromptTemplate('q2q', PUBLISHED.q2q),
  q2e: new PromptTemplate('q2e', PUBLISHED.q2e),
  q2c: new PromptTemplate('q2c', PUBLISHED.q2c),
};

/**
 * Reads a prompt template from a file. The file's name without its extension becomes the prompt's name. One final line break is
 * dropped: editors add it.
 *
 * @throws UsageError if the template is not valid; DataError if the file cannot be read
 */
export async function readPrompt(file: string): Promise<PromptTemplate> {
  const text = await readTextFile(file);
  return new PromptTemplate(promptName(file), text.replace(/\r?\n$/, ''), file);
}

/** Returns the name of a custom prompt, derived from its file. */
export function promptName(file: string): string {
  return basename(file, extname(file)).replace(/[^A-Za-z0-9_-]+/g, '-');
}
