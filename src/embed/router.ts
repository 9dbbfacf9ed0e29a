import { join } from 'node:path';
import { z } from 'zod';
import type { Pooling } from '../nn/index.ts';
import { ModelError } from '../system/index.ts';
import type { TextRole } from './encoder.ts';
import { modulesSchema, readModules, readPooling, readSettings } from './sentence-transformers.ts';

/** What a folder says of an encoder whose network has a folder of its own: one role of a Router, or the old layout. */
export interface RouteSettings {
  /** Folder of config.json, tokenizer and weights. */
  folder: string;
  pooling: Pooling;
  /** Folder of a linear map behind the pooling. */
  dense: string | undefined;
  normalize: boolean;
}

const routerSchema = z.object({
  types: z.record(z.string(), z.string()),
  structure: z.object({ query: z.array(z.string()), document: z.array(z.string()) }),
});

const denseSchema = z.object({
  bias: z.boolean().default(true),
  activation_function: z.string().default('torch.nn.modules.activation.Tanh'),
});

const FIX =
  'Use a Router over Transformer, Pooling, Dense (linear, no bias) and Normalize, one path for query and one for document.';

/**
 * Reads a folder of sentence-transformers in which queries and documents have encoders of their own (its Router).
 * @returns undefined if the folder has no Router
 * @throws ModelError where a module is not offered
 */
export async function readRoutes(folder: string): Promise<Record<TextRole, RouteSettings> | undefined> {
  const file = join(folder, 'modules.json');
  const modules = await readSettings(file, modulesSchema);
  if (!modules?.some(({ type }) => kindOf(type) === 'Router')) return undefined;
  if (modules.length > 1)
    throw new ModelError('has other modules in addition to its Router, which is not supported', { file, fix: FIX });
  const place = join(folder, modules[0]!.path);
  const config = join(place, 'router_config.json');
  const router = await readSettings(config, routerSchema);
  if (router === undefined)
    throw new ModelError('is missing, but modules.json names a Router', { file: config, fix: FIX });
  const route = (role: TextRole) => readRoute(place, config, router.structure[role], router.types);
  return { query: await route('query'), document: await route('document') };
}

/**
 * Reads a folder in the old layout of sentence-transformers, in which `modules.json` names a folder for the network (`0_Transformer`).
 * @returns undefined if the network is in the folder itself
 * @throws ModelError if a module is not supported or lacks its settings
 */
export async function readNested(folder: string, hasPrompts: boolean): Promise<RouteSettings | undefined> {
  const modules = await readSettings(join(folder, 'modules.json'), modulesSchema);
  const path = modules?.find(({ type }) => kindOf(type) === 'Transformer')?.path ?? '';
  if (path === '' || !isPlain(path)) return undefined;
  const others = modules!.filter(({ type }) => kindOf(type) !== 'Transformer');
  return { folder: join(folder, path), dense: undefined, ...(await readModules(folder, others, hasPrompts)) };
}

async function readRoute(
  place: string,
  file: string,
  names: readonly string[],
  types: Readonly<Record<string, string>>,
): Promise<RouteSettings> {
  const kinds = names.map((name) => kindOf(types[name] ?? ''));
  if (!/^Transformer Pooling( Dense)?( Normalize)?$/.test(kinds.join(' ')) || names.some((name) => !isPlain(name))) {
    throw new ModelError(`a path of ${kinds.join(', ') || 'nothing'} is not supported`, { file, fix: FIX });
  }
  const folderOf = (kind: string) => {
    const at = kinds.indexOf(kind);
    return at < 0 ? undefined : join(place, names[at]!);
  };
  const dense = folderOf('Dense');
  if (dense !== undefined) await checkDense(join(dense, 'config.json'));
  return {
    folder: folderOf('Transformer')!,
    pooling: await readPooling(join(folderOf('Pooling')!, 'config.json'), true),
    dense,
    normalize: kinds.includes('Normalize'),
  };
}

/** A name that leads out of the folder is none. */
function isPlain(name: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(name);
}

async function checkDense(file: string): Promise<void> {
  const config = await readSettings(file, denseSchema);
  if (config === undefined) throw new ModelError('is missing, but router_config.json names it', { file, fix: FIX });
  if (!config.bias && kindOf(config.activation_function) === 'Identity') return;
  throw new ModelError('is a Dense module with a bias or an activation, which is not supported', { file, fix: FIX });
}

function kindOf(type: string): string {
  return type.split('.').at(-1)!;
}
