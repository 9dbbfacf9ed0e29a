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

/** Raise it if the trial would find more. */
const FORMAT = 1;

export const TOKENIZER_TRIAL_CACHE = new CacheKind({
  ...{ name: 'tokenizer-trials', format: FORMAT, what: 'notes on tokenizers that were tried', isSmall: true },
});

/** A sound tokenizer loads in a second or two, however large its vocabulary. */
const LIMIT_SECONDS = 60;
const MOST_WORDS = 20_000;

/**
 * Loads the description from standard input and encodes what touches most parts of a tokenizer. An error that the library
 * throws is no matter here: it is thrown again where the tokenizer is used.
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
 * Tries a tokenizer in a process of its own. The native library ends the whole process (a panic) on some descriptions that it
 * takes at first: a template's token that is missing, merges beyond the vocabulary, a broken character map. Here the
 * child ends instead. A description that passed is noted by its content, and not tried again.
 * @param file where it was read, for errors
 * @param description the text of a tokenizer.json, as it will be loaded
 * @throws ModelError if the library breaks down on it
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
    const what = timedOut ? `takes more than ${LIMIT_SECONDS} s to load` : 'makes the native tokenizer break down';
    const reason = panic === undefined ? what : `${what}: ${panic}`;
    throw new ModelError(`is not a tokenizer that can be used (${reason.slice(0, 300)})`, {
      file,
      fix: 'Fetch the file again; if it stays so, take the tokenizer of the original model.',
    });
  }
  // A cache that cannot be written costs a trial at the next call, and nothing else.
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
    // A child that has ended reads no more: its code says why.
    child.stdin!.on('error', () => {});
    child.stdin!.end(description);
  });
}
