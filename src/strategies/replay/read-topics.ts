import { readLines } from '../../files/index.ts';
import { DataError } from '../../system/index.ts';
import { checkId, checkLength, type ForeignTexts } from './foreign-text.ts';

interface Topic {
  line: number;
  id: string | undefined;
  title: string[];
  characters: number;
}

/**
 * Reads classic TREC topics: `<top>`, `<num> Number: 301`, `<title> text`, which may go on over several lines, and `</top>`. Other
 * fields, such as `<desc>`, are passed over. Several of them may stand on one line.
 *
 * @throws DataError that names file and line
 */
export async function* readTopics(file: string, signal?: AbortSignal): AsyncGenerator<ForeignTexts> {
  let topic: Topic | undefined;
  let field = '';
  for await (const { text, line } of readPieces(file, signal)) {
    const [, tag, rest = ''] = /^\s*<(\/?[a-z]+)>\s*(.*)$/i.exec(text) ?? [];
    const name = tag?.toLowerCase();
    if (name === 'top') {
      topic = { line, id: undefined, title: [], characters: 0 };
      continue;
    }
    if (topic === undefined) throw outside(file, line);
    if (name === '/top') {
      yield textOf(topic, file);
      topic = undefined;
      continue;
    }
    if (name !== undefined) field = name;
    const content = name === undefined ? text.trim() : rest.replace(/<\/[a-z]+>\s*$/i, '').trim();
    if (field === 'num' && name === 'num') {
      topic.id = checkId(content.replace(/^number:\s*/i, '').trim(), { file, line });
    } else if (field === 'title' && content !== '') {
      topic.title.push(content.replace(/^topic:\s*/i, ''));
      topic.characters += content.length;
      checkLength(topic.characters, { file, line, id: topic.id });
    }
  }
  if (topic !== undefined) throw unended(file, topic);
}

/** Reads lines, each cut before the tags that a topic is made of: a whole topic may stand on one line. */
async function* readPieces(file: string, signal: AbortSignal | undefined) {
  for await (const { text, line } of readLines(file, { signal })) {
    for (const piece of text.split(/(?=<\/?(?:top|num|title|desc|narr)>)/i)) {
      if (piece.trim() !== '') yield { text: piece, line };
    }
  }
}

function textOf({ id, line, title }: Topic, file: string): ForeignTexts {
  if (id !== undefined) return { id, line, texts: [title.join(' ')] };
  throw new DataError('the topic has no <num>', { file, line, fix: 'Add its number: <num> Number: 301.' });
}

function outside(file: string, line: number): DataError {
  return new DataError('the line is outside of <top> and </top>', {
    ...{ file, line },
    fix: 'Pass the right --format; a classic topics file holds only topics.',
  });
}

function unended(file: string, { line, id }: Topic): DataError {
  return new DataError('the topic lacks its </top>', { file, line, id, fix: 'The file is cut: get it again.' });
}
