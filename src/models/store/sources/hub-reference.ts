import { isInsideFolder } from '../../../system/index.ts';

/** A model on the Hugging Face hub. */
export interface HubReference {
  /** `owner/name`. */
  repository: string;
  /** A branch, a tag or a commit. */
  revision: string;
  /** One file of the repository, if it holds several models. */
  file: string | undefined;
}

const PART = '[A-Za-z0-9][A-Za-z0-9._-]*';
const WORD = '[A-Za-z0-9._-]+';
/** Refs of pull requests and conversions have two more words; any other revision before a file is one word. */
const BEFORE_FILE = `refs/(?:pr|convert|heads|tags)/${WORD}|${WORD}`;
const WITH_FILE = new RegExp(`^hf:(${PART}/${PART})(?:@(${BEFORE_FILE}))?/(.+\\.gguf)$`);
const WITHOUT_FILE = new RegExp(`^hf:(${PART}/${PART})(?:@(${WORD}(?:/${WORD})*))?$`);

/**
 * Reads `hf:owner/name`, `hf:owner/name@revision` (a branch, a tag, a commit, or a ref such as refs/pr/1) and
 * `hf:owner/name[@revision]/FILE.gguf`; undefined for anything else.
 */
export function parseHubReference(name: string): HubReference | undefined {
  const match = (name.endsWith('.gguf') ? WITH_FILE : WITHOUT_FILE).exec(name);
  if (match === null) return undefined;
  const [, repository, revision = 'main', file] = match;
  const isSafe = [repository!, revision, file ?? 'none'].every(isInsideFolder);
  return isSafe ? { repository: repository!, revision, file } : undefined;
}

/**
 * Formats a reference for display, as `owner/name@revision`: omits the default revision, and shortens a commit to 12
 * digits.
 */
export function formatReference({ repository, revision }: Pick<HubReference, 'repository' | 'revision'>): string {
  if (revision === 'main') return repository;
  return `${repository}@${/^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, 12) : revision}`;
}
