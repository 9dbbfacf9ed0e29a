import { allowAgain, ModelError } from '../../system/index.ts';
import { closestKnownName, KNOWN_MODELS, type KnownModel } from './known-models.ts';
import { formatReference, type HubReference } from './sources/hub-reference.ts';
import type { PinnedFile } from './store-types.ts';

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
  if (hub.revision !== 'main') words.push(`@${hub.revision}`);
  if (hub.file !== undefined) words.push(`--${hub.file.replaceAll('/', '--')}`);
  return { name, folder: words.join(''), files: undefined, hub, known: undefined };
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

/** The error for a model that is not there while connections are forbidden. @param forbids what forbids them, by its name */
export function offlineError(plan: Plan, forbids: string): ModelNotThereError {
  const place = plan.hub === undefined ? plan.name : `${plan.name} (${formatReference(plan.hub)})`;
  return new ModelNotThereError(`${place} is not in the store, and connections are switched off by ${forbids}`, {
    fix: `${allowAgain(forbids)} and run \`llm-qe models pull ${plan.name}\`, or name a folder that holds it.`,
  });
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
