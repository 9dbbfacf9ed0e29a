import { gzipSync } from 'node:zlib';
import type { Behaviour } from './chat-server.ts';

/** Bad input for one command, and what is said of it. */
export interface Case {
  what: string;
  /**
   * Words after `llm-qe`; `{name}` stands for a path in the test's folder, `{chat}` and `{zip}` for its servers,
   * `{closed}` for one that has gone.
   */
  words: string;
  /** Laid over a whole small data set, `set/`, and a run of it, `run.trec`. */
  files?: Record<string, string | Buffer>;
  /** 1 failed (the default), 2 wrong use. */
  code?: 1 | 2;
  says: RegExp;
  fix: RegExp;
  chat?: Behaviour;
  zip?: Buffer;
}

export const EVALUATE = 'evaluate --dataset {set} --retriever bm25 --json --run-out {kept.trec}';
export const SCORE = 'score --json --qrels {set/qrels/test.tsv} --run';

/** Broken, missing and contradicting data. */
export const dataCases: Case[] = [
  {
    what: 'a reward that does not exist, before the encoder is looked for',
    words: 'reward --dataset {set} --split test --reward nope --encoder bge-small-en-v1.5 --offline',
    code: 2,
    says: /there is no reward "nope"/,
    fix: /rank-gold/,
  },
  {
    what: 'candidates that are missing, before the encoder is looked for',
    words: 'reward --dataset {set} --split test --reward rank-gold --encoder bge-small-en-v1.5 --offline',
    says: /candidates\.jsonl: no such file/,
    fix: /Check the path/,
  },
  {
    what: 'answers that are missing, before the encoder is looked for',
    words: 'reward --dataset {set} --split test --reward rank-answer --encoder bge-small-en-v1.5 --offline',
    code: 2,
    says: /rank-answer reads answers, but there are none/,
    fix: /llm-qe answers/,
  },
  {
    what: 'an empty corpus',
    words: EVALUATE,
    files: { 'set/corpus.jsonl': '' },
    says: /corpus\.jsonl: the corpus holds no document/,
    fix: /one document per line/,
  },
  {
    what: 'a document id given twice',
    words: EVALUATE,
    files: { 'set/corpus.jsonl': '{"_id":"d","text":"a"}\n{"_id":"d","text":"b"}\n' },
    says: /corpus\.jsonl:2, id "d"/,
    fix: /Remove one of the two/,
  },
  {
    what: 'a query id given twice',
    words: EVALUATE,
    files: { 'set/queries.jsonl': '{"_id":"q1","text":"a"}\n{"_id":"q1","text":"b"}\n' },
    says: /queries\.jsonl:2, id "q1"/,
    fix: /Remove one/,
  },
  {
    what: 'a query id with a blank, for a run',
    words: EVALUATE,
    files: { 'set/queries.jsonl': '{"_id":"q 1","text":"saw"}\n', 'set/qrels/test.tsv': 'q 1\td0\t1\n' },
    says: /queries\.jsonl:1: _id: the identifier "q 1" holds white space/,
    fix: /named fields/,
  },
  {
    what: 'a document id with a tab',
    words: 'data check {set}',
    files: { 'set/corpus.jsonl': '{"_id":"a\\tb","text":"x"}\n{"_id":"d0","text":"x"}\n{"_id":"d1","text":"x"}\n' },
    says: /errors: broken line \(1\)/,
    fix: /Fix the faults/,
  },
  {
    what: 'qrels for a document that is missing',
    words: 'data check {set}',
    files: { 'set/qrels/test.tsv': 'q1\tgone\t1\n' },
    says: /missing from the corpus \(1\)/,
    fix: /Fix the faults/,
  },
  {
    what: 'qrels for a query that is missing',
    words: EVALUATE,
    files: { 'set/qrels/test.tsv': 'q9\td0\t1\n' },
    says: /id "q9": split test judges a query/,
    fix: /same release/,
  },
  {
    what: 'broken JSON',
    words: EVALUATE,
    files: { 'set/corpus.jsonl': '{"_id":"d0","text":"a"}\n{"_id":"d1","te\n' },
    says: /corpus\.jsonl:2: not valid JSON/,
    fix: /Fix or remove this line/,
  },
  {
    what: 'a document without a text',
    words: EVALUATE,
    files: { 'set/corpus.jsonl': '{"_id":"d0"}\n' },
    says: /corpus\.jsonl:1: text: /,
    fix: /named fields/,
  },
  {
    what: 'an id that no number can hold',
    words: EVALUATE,
    files: { 'set/corpus.jsonl': '{"_id":9007199254740993,"text":"x"}\n' },
    says: /corpus\.jsonl:1: _id: .*read exactly/,
    fix: /named fields/,
  },
  {
    what: 'a corpus that is not UTF-8',
    words: EVALUATE,
    files: { 'set/corpus.jsonl': Buffer.from([0x7b, 0xff, 0xfe, 0x7d, 0x0a]) },
    says: /corpus\.jsonl:1: the line is not UTF-8/,
    fix: /UTF-8/,
  },
  {
    what: 'gzip that is cut off',
    words: `${SCORE} {cut.gz}`,
    files: { 'cut.gz': gzipSync('q1 Q0 d0 1 2.0 t\n').subarray(0, 20) },
    says: /cut\.gz:1: the gzip data end too early/,
    fix: /again/,
  },
  { what: 'a split that is not there', words: `${EVALUATE} --split dev`, says: /has no split "dev"/, fix: /test/ },
  {
    what: 'a split that climbs out of the folder',
    words: `${EVALUATE} --split ../../test`,
    code: 2,
    says: /not the name of a split/,
    fix: /train, dev or test/,
  },
  {
    what: 'a file for a data set',
    words: 'evaluate --dataset {run.trec}',
    says: /run\.trec: is not a folder/,
    fix: /folder of a data set/,
  },
  {
    what: 'qrels without a line',
    words: 'score --qrels {none} --run {run.trec} --json',
    files: { none: '\n \n' },
    says: /none: the file holds no judgement/,
    fix: /judgements/,
  },
  {
    what: 'a grade that is no number',
    words: 'score --qrels {bad.tsv} --run {run.trec}',
    files: { 'bad.tsv': 'q1\td0\thigh\n' },
    says: /bad\.tsv:1, id "d0": the grade "high"/,
    fix: /whole numbers/,
  },
  {
    what: 'two grades for one document',
    words: 'score --qrels {bad.tsv} --run {run.trec}',
    files: { 'bad.tsv': 'q1\td0\t1\nq1\td0\t2\n' },
    says: /bad\.tsv:2, id "d0"/,
    fix: /Remove one/,
  },
  {
    what: 'a run of prose',
    words: `${SCORE} {prose}`,
    files: { prose: 'This is no run.\n' },
    says: /prose:1: expected 6 columns, found 4/,
    fix: /query Q0 document/,
  },
  {
    what: 'a score of NaN',
    words: `${SCORE} {bad.trec}`,
    files: { 'bad.trec': 'q1 Q0 d0 1 NaN t\n' },
    says: /bad\.trec:1, id "d0": the score NaN/,
    fix: /decimal numbers/,
  },
  {
    what: 'a document listed twice in a run',
    words: `${SCORE} {bad.trec}`,
    files: { 'bad.trec': 'q1 Q0 d0 1 2 t\nq1 Q0 d0 2 1 t\n' },
    says: /bad\.trec:2, id "d0"/,
    fix: /Remove one/,
  },
  {
    what: 'a run of another data set',
    words: `${SCORE} {other.trec}`,
    files: { 'other.trec': 'x Q0 d0 1 2 t\n' },
    says: /no query of the run is judged/,
    fix: /same data set/,
  },
  {
    what: 'control characters in a broken line',
    words: `${SCORE} {bad.trec}`,
    files: { 'bad.trec': 'q1 Q0 d0 1 \u001b[2J t\n' },
    says: /the score \\x1b\[2J is not/,
    fix: /decimal/,
  },
  {
    what: 'an id of a megabyte',
    words: 'data split {ids.jsonl} --out {parts}',
    files: { 'ids.jsonl': `{"id":"${'x'.repeat(1e6)}"}\n`.repeat(2) },
    code: 2,
    says: /^error: .{0,300}$/m,
    fix: /./,
  },
  {
    what: 'a split larger than the file',
    words: 'data split {set/corpus.jsonl} --out {parts} --size 3',
    code: 2,
    says: /cannot take 3 of 2 rows/,
    fix: /up to 2/,
  },
  {
    what: 'expansions over a file of another making',
    words: 'expand --dataset {set} --generator http://127.0.0.1:9/v1 --model toy --out {kept.trec}',
    says: /kept\.trec: the file holds records, but no manifest says how they were made/,
    fix: /--out.*--force/,
  },
  {
    what: 'a split into the file it reads',
    words: 'data split {dpo.jsonl} --out {.} --size 1',
    files: { 'dpo.jsonl': '{"a":1}\n{"a":2}\n' },
    code: 2,
    says: /would overwrite/,
    fix: /another folder/,
  },
  {
    what: 'Echo files that are missing',
    words: 'data merge {set} --out {kept.trec}',
    says: /8 of the 8 Echo files are missing/,
    fix: /Put them into this folder/,
  },
  {
    what: 'expansions of other queries',
    words: `${EVALUATE} --expansions {e.jsonl}`,
    files: {
      'e.jsonl':
        '{"query":"q1","sample":0,"text":"x","finish":"stop","promptTokens":1,"completionTokens":1,"milliseconds":1,"key":"k"}\n',
    },
    says: /e\.jsonl, id "q2": no expansion/,
    fix: /llm-qe expand/,
  },
];

/** Words that the command line does not take. */
export const wrongUseCases: Case[] = [
  {
    what: 'an unknown option',
    words: 'evaluate --datset x',
    code: 2,
    says: /unknown option '--datset'[\s\S]*Did you mean --dataset/,
    fix: /llm-qe evaluate --help/,
  },
  {
    what: 'a command that every object has',
    words: 'constructor',
    code: 2,
    says: /unknown command 'constructor'/,
    fix: /llm-qe --help/,
  },
  {
    what: 'an option that is missing',
    words: 'evaluate --json',
    code: 2,
    says: /--dataset: is required/,
    fix: /llm-qe evaluate --help/,
  },
  {
    what: 'an empty value, as of an unset variable',
    words: 'evaluate --dataset {set} --alpha {}',
    code: 2,
    says: /--alpha: the value is empty/,
    fix: /--help/,
  },
  {
    what: 'a number out of range',
    words: 'evaluate --dataset {set} --alpha 1.5',
    code: 2,
    says: /--alpha: /,
    fix: /--help/,
  },
  {
    what: 'a number that is none',
    words: 'evaluate --dataset {set} --depth NaN',
    code: 2,
    says: /--depth: /,
    fix: /--help/,
  },
  {
    what: 'an unknown measure',
    words: `${SCORE} {run.trec} --measure __proto__`,
    code: 2,
    says: /no measure "__proto__"/,
    fix: /nDCG@10/,
  },
  {
    what: 'a file where a folder is needed',
    words: 'data split {set/corpus.jsonl} --size 1 --out {run.trec}',
    says: /run\.trec.*(not a folder|where a folder is needed)/,
    fix: /another path|path of a folder/,
  },
  {
    what: 'a name too long for the disk',
    words: `data merge {${'n'.repeat(300)}}`,
    says: /too long|longer than/,
    fix: /shorter/,
  },
];
