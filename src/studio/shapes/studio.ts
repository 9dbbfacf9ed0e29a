/** `GET /api/studio`: what the studio was started with. */
export interface StudioFacts {
  version: string;
  runs: string;
  corpora: { name: string; path: string }[];
  encoder: string;
  generators: string[];
}

/** An event of `GET /api/progress`: one task of the work that is going on. */
export interface ProgressEvent {
  id: number;
  label: string;
  done: number;
  /** Undefined if it is not known. */
  total?: number | undefined;
  /** In the plural: texts, bytes. */
  unit: string;
  note: string;
  ended: boolean;
}

/** Every refusal and failure. */
export interface Failure {
  error: { message: string; fix: string };
}
