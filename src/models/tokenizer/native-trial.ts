import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  CacheKind,
  endBoundChild,
  isThere,
  ModelError,
  packageVersion,
  sha256,
  spawnBound,
  writeDurably,
} from '../../system/index.ts';

/** Increase this if the trial finds more faults. */
const FORMAT = 1;

export const TOKENIZER_TRIAL_CACHE = new CacheKind({
  ...{ name: 'tokenizer-trials', format: FORMAT, what: 'notes on tested tokenizers', isSmall: true },
});

/** A valid tokenizer loads in a second or two, even with a large vocabulary. */
const LIMIT_SECONDS = 60;
const MOST_WORDS = 20_000;

/**
 * Loads the description from standard input and encodes texts that exercise most parts of a tokenizer. It ignores
 * errors that the library throws: using the tokenizer throws them again.
 */
const TRIAL = `
const chunks = [];
process.stdin.on('data', (chunk) => chunks.push(chunk)).on('end', async () => {
  const { Tokenizer } = require(process.argv[1]);
  try {
    const tokenizer = Tokenizer.fromString(Buffer.concat(chunks).toString('utf8'));
    tokenizer.setTruncation(64);
    for (const text of ['', 'a', 'The quick brown fox, 123! <s> [UNK] [CLS] caf\\u00e9 \\u4e16\\u754c \\ud83d\\ude42 \\u0000']) {
      for (const addSpecialTokens of [true, false]) {
        const encoding = await tokenizer.encode(text, null, { addSpecialTokens });
        for (const keep of [true, false]) await tokenizer.decode(encoding.getIds(), keep);
      }
    }
  } catch {}
});
`;

/**
 * Tries a tokenizer in a child process. On some descriptions that the native library accepts at first, it panics and
 * ends the whole process: if a template's token is missing, merges exceed the vocabulary, or the character map is
 * broken. Here only the child ends. A description that passed is recorded by its content and not tried again.
 * @param file its path, for errors
 * @param description the text of a tokenizer.json, as it will be loaded
 * @throws ModelError if the library crashes on it
 */
export async function tryTokenizer(file: string, description: string): Promise<void> {
  const library = createRequire(import.meta.url).resolve('tokenizers');
  const note = join(
    TOKENIZER_TRIAL_CACHE.folder(),
    `${sha256(`${packageVersion()}\n${library}\n${description}`)}.json`,
  );
  if (await isThere(note)) return;
  const { code, words, timedOut } = await runTrial(library, description);
  if (code !== 0) {
    const panic = /panicked at [^\n]*\n([^\n]*)/.exec(words)?.[1];
    const what = timedOut ? `takes more than ${LIMIT_SECONDS} s to load` : 'crashes the native tokenizer';
    const reason = panic === undefined ? what : `${what}: ${panic}`;
    throw new ModelError(`is not a usable tokenizer (${reason.slice(0, 300)})`, {
      file,
      fix: 'Download the file again. If that does not help, use the tokenizer of the original model.',
    });
  }
  // If the cache cannot be written, the next call repeats the trial.
  await writeDurably(note, `${JSON.stringify({ file })}\n`).catch(() => {});
}

interface Outcome {
  code: number | null;
  words: string;
  timedOut: boolean;
}

function runTrial(library: string, description: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const { NODE_OPTIONS: _flagsOfTheParent, ...environment } = process.env;
    const child = spawnBound(process.execPath, ['-e', TRIAL, library], {
      env: { ...environment, RUST_BACKTRACE: '0' },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let words = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      endBoundChild(child, 'SIGKILL');
    }, LIMIT_SECONDS * 1000);
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(0, MOST_WORDS);
    });
    const end = (code: number | null) => {
      clearTimeout(timer);
      resolve({ code, words, timedOut });
    };
    child.on('error', () => end(null));
    child.on('close', end);
    // A child that has ended stops reading; its exit code gives the reason.
    child.stdin!.on('error', () => {});
    child.stdin!.end(description);
  });
}
