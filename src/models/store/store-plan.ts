import { allowAgain, ModelError } from '../../system/index.ts';
import { closestKnownName, findKnownModel, KNOWN_MODELS, type KnownModel } from './known-models.ts';
import { formatReference, type HubReference, parseHubReference } from './sources/hub-reference.ts';
import { refuseFormat } from './sources/source.ts';
import type { ModelFormat, ModelKind, PinnedFile } from './store-types.ts';

/** What the store does for a name: where the model stands once it is there, and where it is looked for until then. */
export interface Plan {
  name: string;
  /** Name of its folder in the store. */
  folder: string;
  /** The wanted files; undefined where the source decides. */
  files: readonly PinnedFile[] | undefined;
  /** Where the hub's own cache may hold it. */
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

/** Undefined for what can only be a path. @throws ModelError for a known model of the other kind */
export function planFor(name: string, kind: ModelKind | undefined): Plan | undefined {
  const known = findKnownModel(name);
  if (known === undefined) {
    const reference = parseHubReference(name);
    if (reference === undefined && name.startsWith('hf:')) throw unknownModel(name);
    return reference && planHub(name, reference);
  }
  if (kind !== undefined && kind !== known.kind) {
    const others = KNOWN_MODELS.filter((model) => model.kind === kind).map((model) => model.name);
    const fix = `Name one of ${others.join(', ')}, or a path.`;
    throw new ModelError(`${known.name} is ${withArticle(known.kind)}, and ${withArticle(kind)} is needed`, { fix });
  }
  return planKnown(known);
}

function withArticle(kind: ModelKind): string {
  return kind === 'encoder' ? 'an encoder' : 'a generator';
}

/** A known model is refused by its list of files, before any source is asked. */
export function refuseKnownFormat({ known }: Plan, formats: readonly ModelFormat[] | undefined): void {
  if (known === undefined) return;
  const has = (ending: string) => known.files.some(({ path }) => path.endsWith(ending));
  const format = has('.safetensors') ? 'safetensors' : has('.gguf') ? 'gguf' : 'torch';
  try {
    refuseFormat(format, formats, known.name);
  } catch (error) {
    if (!(error instanceof ModelError) || known.alternative === undefined) throw error;
    throw new ModelError(error.message, { fix: `Name ${known.alternative}. ${error.fix}`, cause: error });
  }
}

/** The error for a name that is neither known, nor a path, nor a place on the hub. */
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
      ? `Known are ${KNOWN_MODELS.map((model) => model.name).join(', ')}.`
      : `Did you mean ${closest}?`,
  ];
  if (/^[^/\s]+\/[^/\s]+$/.test(name)) hints.push(`For a model on the Hugging Face hub write hf:${name}.`);
  else hints.push('A path to a folder or a .gguf file, and hf:owner/name, are understood too.');
  return new ModelError(`${JSON.stringify(name)} is not a known model, nor a path that exists`, {
    fix: hints.join(' '),
  });
}

/** A model that could be fetched, were connections allowed. */
export class ModelNotThereError extends ModelError {}

/**
 * The error for a model that is not there while connections are forbidden.
 * @param forbids what forbids them, by its name
 * @param fault what is wrong with the one in the store, if there is one
 */
export function offlineError(plan: Plan, forbids: string, fault?: string): ModelNotThereError {
  const place = plan.hub === undefined ? plan.name : `${plan.name} (${formatReference(plan.hub)})`;
  return new ModelNotThereError(
    `${place} is ${fault === undefined ? 'not' : `damaged (${fault})`} in the store, and connections are switched off by ${forbids}`,
    {
      fix: `${allowAgain(forbids)} and run \`llm-qe models pull ${plan.name}\`, or name a folder that holds it.`,
    },
  );
}

/** The error after every source has failed. */
export function allFailed(plan: Plan, failures: readonly { label: string; error: Error & { fix: string } }[]): Error {
  const gated = failures.find(({ error }) => error.message.includes('gated'));
  const hasOther = gated !== undefined && plan.known?.alternative !== undefined;
  const fix = `${(gated ?? failures.at(-1)!).error.fix}${hasOther ? ` Or take ${plan.known?.alternative}.` : ''}`;
  const errors = failures.map(({ error }) => error);
  if (errors.length === 1) return new ModelError(`${plan.name}: ${errors[0]!.message}`, { fix, cause: errors[0] });
  const reasons = failures.map(({ label, error }, index) => `(${index + 1}) ${withLabel(label, error.message)}`);
  const cause = new AggregateError(errors);
  return new ModelError(`${plan.name}: no source could deliver it: ${reasons.join('; ')}`, { fix, cause });
}

function withLabel(label: string, message: string): string {
  return message.includes(label) ? message : `${label}: ${message}`;
}
