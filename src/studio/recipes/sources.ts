import { lstat, readdir, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { readTextFile } from '../../files/index.ts';
import { PACKAGED_RECIPES, packagedRecipe } from '../../pipeline/index.ts';
import { RequestError } from '../../serve/index.ts';
import { isInsideFolder } from '../../system/index.ts';
import type { ListedRecipe } from '../shapes/recipes.ts';

/** Maximum size of a recipe file, in bytes: it may come from a stranger, and aliases multiply what it holds. */
const MOST_BYTES = 64 * 1024;
/** More files than this are not listed. */
const MOST_FILES = 200;
/** Where recipes are looked for: in the folder itself, and in that of recipes. */
const PLACES = ['', 'recipes/'];

/** The packaged recipes, and the YAML files in a folder, as `./mine.yaml`. */
export async function listRecipes(folder: string): Promise<ListedRecipe[]> {
  const files: string[] = [];
  for (const place of PLACES) {
    const entries = await readdir(join(folder, place), { withFileTypes: true }).catch(() => []);
    const names = entries.filter((one) => one.isFile() && isRecipeName(`${place}${one.name}`)).map(({ name }) => name);
    files.push(...names.sort().map((name) => `./${place}${name}`));
  }
  return [
    ...PACKAGED_RECIPES.map((source) => ({ source, isPackaged: true })),
    ...files.slice(0, MOST_FILES).map((source) => ({ source, isPackaged: false })),
  ];
}

/**
 * Returns the text of a recipe. Neither a name nor a link leads out of the folder.
 * @throws RequestError if there is no such recipe, or it is too large
 */
export async function readSource(folder: string, source: string): Promise<string> {
  const packaged = PACKAGED_RECIPES.find((one) => one === source);
  if (packaged !== undefined) return packagedRecipe(packaged);
  const missing = new RequestError(404, `there is no recipe ${JSON.stringify(source.slice(0, 200))}`, {
    fix: 'Choose another, or put the YAML file into the folder of the studio.',
  });
  const name = source.replace(/^\.\//, '');
  if (source === name || !isRecipeName(name)) throw missing;
  const [root, path] = await Promise.all([realpath(folder), realpath(join(folder, name))]).catch(() => {
    throw missing;
  });
  const inside = root.endsWith(sep) ? root : `${root}${sep}`;
  const facts = await lstat(path);
  if (!path.startsWith(inside) || !facts.isFile()) throw missing;
  return readRecipeFile(path, source);
}

/** Reads a file that may be anything. @param shown its name, for errors. @throws RequestError if it is too large for a recipe */
export async function readRecipeFile(path: string, shown: string, mostBytes = MOST_BYTES): Promise<string> {
  const { size } = await lstat(path);
  if (size <= mostBytes) return readTextFile(path);
  throw new RequestError(422, `${shown} has ${size} bytes, but a recipe here has at most ${mostBytes}`, {
    fix: 'Start it at the command line, with llm-qe align.',
  });
}

function isRecipeName(name: string): boolean {
  return isInsideFolder(name) && /\.ya?ml$/i.test(name) && !name.split('/').some((part) => part.startsWith('.'));
}
