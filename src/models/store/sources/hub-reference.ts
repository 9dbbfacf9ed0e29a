/** A model on the Hugging Face hub. */
export interface HubReference {
  /** `owner/name`. */
  repository: string;
  /** A branch, a tag or a commit. */
  revision: string;
  /** One file of it, where it holds several models. */
  file: string | undefined;
}

const PART = '[A-Za-z0-9][A-Za-z0-9._-]*';
const REFERENCE = new RegExp(`^hf:(${PART}/${PART})(?:@([A-Za-z0-9._-]+))?(?:/(.+\\.gguf))?$`);

/** Reads `hf:owner/name`, `hf:owner/name@revision` and `hf:owner/name/FILE.gguf`; undefined for anything else. */
export function parseHubReference(name: string): HubReference | undefined {
  const match = REFERENCE.exec(name);
  const file = match?.[3];
  if (match === null || file?.split('/').some((part) => part === '..' || part === '')) return undefined;
  return { repository: match[1]!, revision: match[2] ?? 'main', file };
}

/** `owner/name@revision` for people: the usual revision is left out, and of a commit the first twelve digits stand. */
export function formatReference({ repository, revision }: Pick<HubReference, 'repository' | 'revision'>): string {
  if (revision === 'main') return repository;
  return `${repository}@${/^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, 12) : revision}`;
}
