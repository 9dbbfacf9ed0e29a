import { bm25Prf } from './bm25-prf.ts';
import type { TermFeedback } from './feedback.ts';
import { rm3 } from './rm3.ts';
import { rocchio } from './rocchio.ts';

/** Relevance feedback from the terms of the first documents, each as Anserini has it. */
export const TERM_FEEDBACK = { rm3, rocchio, 'bm25-prf': bm25Prf } as const satisfies Record<string, TermFeedback>;
export type TermFeedbackName = keyof typeof TERM_FEEDBACK;
