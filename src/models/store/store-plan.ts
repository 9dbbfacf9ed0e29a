import { allowAgain, ModelError } from '../../system/index.ts';
import { closestKnownName, findKnownModel, KNOWN_MODELS, type KnownModel } from './known-models.ts';
import { formatReference, type HubReference, parseHubReference } from './sources/hub-reference.ts';
import { refuseFormat } from './sources/source.ts';
import type { ModelFormat, ModelKind, PinnedFile } from './store-types.ts';

/** How the store resolves a name: where it keeps the model, and where it looks for it until then. */
export interface Plan {
  name: string;
  /** The name of its folder in the store. */
  folder: string;
  /** The wanted files; undefined if the source decides. */
  files: readonly PinnedFile[] | undefined;
  /** The place on the hub, under which the hub's own cache may hold it. */
  hub: HubReference | undefined;
  known: KnownModel | undefined;
}

export function planKnown(known: KnownModel): Plan {
  const source = known.sources.find((candidate) => candidate.kind === 'hub');
  return {
    name: known.name,
    folder: known.name,
    files: known.files,
    hub: source && { repository: source.repository, revision: source.revision, file: undefined },
    known,
  };
}

export function planHub(name: string, hub: HubReference): Plan {
  const words = [`hf--${hub.repository.replace('/', '--')}`];
  if (hub.revision !== 'main') words.push(`@${hub.revision.replaceAll('/', '--')}`);
  if (hub.file !== undefined) words.push(`--${hub.file.replaceAll('/', '--')}`);
  return { name, folder: words.join(''), files: undefined, hub, known: undefined };
}

/**
 * Returns the plan for a name; undefined if it can only be a path.
 * @throws ModelError if it is a known model of the other kind
 */
export function planFor(name: string, kind: ModelKind | undefined): Plan | undefined {
  const known = findKnownModel(name);
  if (known === undefined) {
    const reference = parseHubReference(name);
    if (reference === undefined && name.startsWith('hf:')) throw unknownModel(name);
    return reference && planHub(name, reference);
  }
  if (kind !== undefined && kind !== known.kind) {
    const others = KNOWN_MODELS.filter((model) => model.kind === kind).map((model) => model.name);
    const fix = `Choose one of ${others.join(', ')}, or pass a path.`;
    throw new ModelError(`${known.name} is ${withArticle(known.kind)}, but ${withArticle(kind)} is needed`, { fix });
  }
  return planKnown(known);
}

function withArticle(kind: ModelKind): string {
  return kind === 'encoder' ? 'an encoder' : 'a generator';
}

/** Refuses a known model by its list of files, before contacting any source. */
export function refuseKnownFormat({ known }: Plan, formats: readonly ModelFormat[] | undefined): void {
  if (known === undefined) return;
  const has = (ending: string) => known.files.some(({ path }) => path.endsWith(ending));
  const format = has('.safetensors') ? 'safetensors' : has('.gguf') ? 'gguf' : 'torch';
  try {
    refuseFormat(format, formats, known.name);
  } catch (error) {
    if (!(error instanceof ModelError) || known.alternative === undefined) throw error;
    throw new ModelError(error.message, { fix: `Use ${known.alternative}. ${error.fix}`, cause: error });
  }
}

/** Returns the error for a name that is neither known, nor a path, nor a place on the hub. */
export function unknownModel(name: string): ModelError {
  if (name.startsWith('hf:')) {
    const fix = 'Write hf:owner/name, hf:owner/name@revision or hf:owner/name/FILE.gguf.';
    return new ModelError(`${JSON.stringify(name)} does not name a model on the Hugging Face hub`, { fix });
  }
  if (/^[.~]|\.(gguf|safetensors|bin)$|\\|^\//.test(name)) {
    return new ModelError('no such file or folder', { file: name, fix: 'Check the path to the model.' });
  }
  const closest = closestKnownName(name);
  const hints = [
    closest === undefined
      ? `Known models: ${KNOWN_MODELS.map((model) => model.name).join(', ')}.`
      : `Did you mean ${closest}?`,
  ];
  if (/^[^/\s]+\/[^/\s]+$/.test(name)) hints.push(`For a model on the Hugging Face hub, write hf:${name}.`);
  else hints.push('You can also pass a path to a folder or a .gguf file, or hf:owner/name.');
  return new ModelError(`${JSON.stringify(name)} is neither a known model nor an existing path`, {
    fix: hints.join(' '),
  });
}

/** A model is missing that could be downloaded if connections were allowed. */
export class ModelNotThereError extends ModelError {}

/**
 * Returns the error for a missing model while connections are forbidden.
 * @param forbids the name of the option or variable that forbids them
 * @param fault what is wrong with the stored model, if there is one
 */
export function offlineError(
  plan: Plan,
  forbids: string,
  { fault, gap }: { fault?: string | undefined; gap?: string | undefined },
): ModelNotThereError {
  const place = plan.hub === undefined ? plan.name : `${plan.name} (${formatReference(plan.hub)})`;
  const cached = gap === undefined ? '' : ` and incomplete in the Hugging Face cache (${gap})`;
  return new ModelNotThereError(
    `${place} is ${fault === undefined ? 'not' : `damaged (${fault})`} in the store${cached}, but connections are switched off by ${forbids}`,
    {
      fix: `${allowAgain(forbids)} and run \`llm-qe models pull ${plan.name}\`, or pass the path of a folder that holds it.`,
    },
  );
}

/** Returns the error after every source has failed. */
export function allFailed(plan: Plan, failures: readonly { label: string; error: Error & { fix: string } }[]): Error {
  const gated = failures.find(({ error }) => error.message.includes('gated'));
  const hasOther = gated !== undefined && plan.known?.alternative !== undefined;
  const fix = `${(gated ?? failures.at(-1)!).error.fix}${hasOther ? ` Or use ${plan.known?.alternative}.` : ''}`;
  const errors = failures.map(({ error }) => error);
  if (errors.length === 1) return new ModelError(`${plan.name}: ${errors[0]!.message}`, { fix, cause: errors[0] });
  const reasons = failures.map(({ label, error }, index) => `(${index + 1}) ${withLabel(label, error.message)}`);
  const cause = new AggregateError(errors);
  return new ModelError(`${plan.name}: every source failed: ${reasons.join('; ')}`, { fix, cause });
}

function withLabel(label: string, message: string): string {
  return message.includes(label) ? message : `${label}: ${message}`;
}
