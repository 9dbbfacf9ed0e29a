import type { JudgedArm, Judgement } from '../../evaluate/index.ts';
import { type ArmTopics, Judge, pairedTests, type ScoredArm } from '../../evaluate/index.ts';
import { describeSelfRetrieval, displayName, type Run, relevantSelves } from '../../measures/index.ts';
import { CorpusSearch, openEncoder, rememberingEncoder } from '../../retrieve/index.ts';
import { throwIfAborted } from '../../system/index.ts';
import { retrievalOf } from '../run/alignment-inputs.ts';
import { type Arm, type ArmName, armOf } from '../run/arms.ts';
import { type EncoderSource, trainedEncoderOf } from '../run/encoders.ts';
import type { AlignmentContext } from '../run/stage.ts';
import { CONTROL_TESTS, meanWords, planControls } from './controls.ts';

/** The paired tests, the primary claim first. */
const TESTS: readonly (readonly [ArmName, ArmName])[] = [
  ['aligned', 'zeroShot'],
  ['aligned', 'raw'],
  ['aligned', 'sft'],
  ['sft', 'zeroShot'],
  ['retriever+aligned', 'aligned'],
  ['retriever+aligned', 'retriever'],
  ['retriever', 'raw'],
  ['student', 'retriever'],
  ['student', 'raw'],
];

/** The judgement of arms as plain data, and their full scores. */
export interface Judged {
  judgement: Judgement;
  scored: ScoredArm[];
}

export interface JudgeArmsOptions {
  /** Fixed alphas of arms that are not tuned. */
  alphas?: Partial<Record<ArmName, number | undefined>>;
  /** Receives each run of the test queries; `at` is the index of its seed. */
  onRun?: (arm: ArmTopics, run: Run, at: number) => Promise<void>;
  /** Called after each scored arm. */
  onArm: () => void;
}

/** Tunes, searches and scores arms, and compares them by paired tests. */
export async function judgeArms(
  context: AlignmentContext,
  search: CorpusSearch,
  kind: 'dense' | 'bm25',
  arms: readonly ArmTopics[],
  options: JudgeArmsOptions,
): Promise<Judged> {
  return judged(context, search, kind, arms, await scoreArms(context, search, kind, arms, options));
}

/**
 * Does the same with the arms of all encoders: those of the recipe's own encoder by `search`, the others by the retriever and the
 * student that were trained.
 */
export async function judgeAllArms(
  context: AlignmentContext,
  search: CorpusSearch,
  arms: readonly ArmTopics[],
  options: JudgeArmsOptions,
): Promise<Judged> {
  const ofEncoder = (encoder: Arm['encoder']) => arms.filter(({ name }) => armOf(name as ArmName).encoder === encoder);
  const scored = await scoreArms(context, search, 'dense', ofEncoder('own'), options);
  for (const encoder of ['retriever', 'student'] as const) {
    const own = ofEncoder(encoder);
    if (own.length > 0) scored.push(...(await scoreBy(context, trainedEncoderOf(context, encoder), own, options)));
  }
  return judged(context, search, 'dense', arms, scored);
}

/** Scores arms with a search by an encoder that is opened for them. */
async function scoreBy(
  context: AlignmentContext,
  { retrieval, open }: EncoderSource,
  arms: readonly ArmTopics[],
  options: JudgeArmsOptions,
): Promise<ScoredArm[]> {
  const { data, models, options: run } = context;
  const { signal, progress } = run;
  const { store } = models;
  const search = new CorpusSearch(data.judged.dataset, retrieval, { signal, progress, store, encoder: await open() });
  try {
    return await scoreArms(context, search, 'dense', arms, options);
  } finally {
    await search.close();
  }
}

async function scoreArms(
  context: AlignmentContext,
  search: CorpusSearch,
  kind: 'dense' | 'bm25',
  arms: readonly ArmTopics[],
  { alphas = {}, onRun, onArm }: JudgeArmsOptions,
): Promise<ScoredArm[]> {
  const judge = new Judge(search, judgeOptions(context, kind));
  const scored: ScoredArm[] = [];
  for (const arm of arms) {
    throwIfAborted(context.options.signal);
    const keep = onRun && ((run: Run, at: number) => onRun(arm, run, at));
    scored.push(await judge.score(arm, { alpha: alphas[arm.name as ArmName], onRun: keep }));
    onArm();
  }
  return scored;
}

/** Describes scored arms, and compares them. @param search that of the first arms */
async function judged(
  context: AlignmentContext,
  search: CorpusSearch,
  kind: 'dense' | 'bm25',
  arms: readonly ArmTopics[],
  scored: ScoredArm[],
): Promise<Judged> {
  const described = scored.map((one) => {
    return describe(one, armOf(one.name as ArmName).description, arms.find(({ name }) => name === one.name)!);
  });
  const { settings, name } = await search.retriever(kind);
  const { alpha: _perArm, ...facts } = settings;
  const judgement: Judgement = {
    judge: name === 'dense' ? String(facts.encoder) : 'bm25',
    settings: { ...facts, 'self-retrieval': selfRuleOf(context, arms) },
    arms: described,
    tests: testsOf(context, scored, TESTS),
  };
  return { judgement, scored };
}

function selfRuleOf({ recipe }: AlignmentContext, arms: readonly ArmTopics[]): string {
  const qrels = arms[0]?.test[0]?.qrels ?? new Map();
  const kept = relevantSelves(qrels).size;
  return describeSelfRetrieval({ dropped: !recipe.evaluation.keepSelf, kept, queries: qrels.size });
}

function judgeOptions({ recipe, options }: AlignmentContext, kind: 'dense' | 'bm25') {
  const { alphas, depth, keepSelf, measure } = recipe.evaluation;
  return { kind, measure: displayName(measure), alphas, depth, keepSelf, signal: options.signal };
}

/** The tests of pairs whose arms are both present. */
function testsOf(
  { recipe }: AlignmentContext,
  scored: readonly ScoredArm[],
  pairs: readonly (readonly [string, string])[],
) {
  const values = new Map(scored.map((one) => [one.name, one.values]));
  const present = pairs.filter((pair) => pair.every((name) => values.has(name)));
  const { measure, seed = recipe.seed } = recipe.evaluation;
  return pairedTests(values, present, { measure: displayName(measure), seed });
}

function describe(
  { name, alpha, tuning, measures, bySeed }: ScoredArm,
  description: string,
  arm: ArmTopics,
): JudgedArm {
  const words = arm.test.reduce((sum, topics) => sum + meanWords(topics), 0) / arm.test.length;
  return { name, description, ...(alpha !== undefined && { alpha }), tuning, measures, bySeed, words };
}

/** Judges the same expansions by another search: BM25 as in Query2doc, or another encoder. */
export async function judgeElsewhere(
  context: AlignmentContext,
  search: CorpusSearch,
  name: string,
  arms: readonly ArmTopics[],
  onArm: () => void,
): Promise<Judgement> {
  if (name === 'bm25') return (await judgeArms(context, search, 'bm25', arms, { onArm })).judgement;
  const { recipe, data, models, options } = context;
  const { signal, progress } = options;
  const settings = retrievalOf(recipe, name, options);
  const encoder = rememberingEncoder(await openEncoder(settings, models.store, signal));
  const other = new CorpusSearch(data.judged.dataset, settings, { signal, progress, store: models.store, encoder });
  try {
    return (await judgeArms(context, other, 'dense', arms, { onArm })).judgement;
  } finally {
    await other.close();
    await encoder.close();
  }
}

/** Scores the control arms, each with the alpha of the arm it is derived from. */
export async function judgeControls(
  context: AlignmentContext,
  search: CorpusSearch,
  arms: readonly ArmTopics[],
  { scored, judgement }: Judged,
): Promise<Judgement> {
  const { recipe, options } = context;
  const judge = new Judge(search, judgeOptions(context, 'dense'));
  const find = (name: ArmName) => arms.find((one) => one.name === name)!;
  const plans = planControls(find('zeroShot'), find('aligned'), recipe.evaluation.seed ?? recipe.seed);
  const all = [...scored];
  const described: JudgedArm[] = [];
  for (const { name, like, description, test } of plans) {
    throwIfAborted(options.signal);
    const arm = { name, dev: undefined, test: test() };
    const one = await judge.score(arm, { alpha: scored.find((other) => other.name === like)!.alpha });
    all.push(one);
    described.push(describe(one, description, arm));
  }
  return { ...judgement, arms: described, tests: testsOf(context, all, CONTROL_TESTS) };
}
