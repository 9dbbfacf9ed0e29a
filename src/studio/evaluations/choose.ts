import type { OpenEvaluation } from './open-evaluation.ts';

/** What of an evaluation is looked at; what is left out is chosen. */
export interface Asked {
  a?: string | undefined;
  b?: string | undefined;
  measure?: string | undefined;
}

/** What of an evaluation is looked at. */
export interface Chosen {
  a: string;
  b: string;
  measure: string;
}

/** Chooses raw against expanded, and the measure that was reported. @throws RequestError for an arm that is not there */
export function choose(evaluation: OpenEvaluation, asked: Asked): Chosen {
  const { arms, pair, measure } = evaluation.files;
  const names = arms.map(({ name }) => name);
  const known = pair?.every((name) => names.includes(name)) ? pair : undefined;
  const first = known?.[0] ?? names.find((name) => /\braw\b/i.test(name)) ?? names[0]!;
  const a = evaluation.arm(asked.a ?? first).name;
  const other = known?.[1] !== a ? known?.[1] : undefined;
  const b = evaluation.arm(asked.b ?? other ?? names.find((name) => name !== a) ?? a).name;
  const { measures } = evaluation;
  const wanted = asked.measure ?? measure;
  return { a, b, measure: measures.includes(wanted) ? wanted : (measures[0] ?? wanted) };
}
