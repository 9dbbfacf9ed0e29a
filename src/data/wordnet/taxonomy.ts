import { DataError } from '../../system/index.ts';
import type { Synset } from './lexicon.ts';

/** Subtrees of at most this many synsets are not divided among the splits. */
export const SUBTREE_SIZE = 100;

/** No chain of hypernyms in WordNet is nearly this long. A longer one is circular. */
const LONGEST_CHAIN = 100;

/** The hypernym relation (with instances) of all nouns. */
export class Taxonomy {
  readonly #parents = new Map<string, string[]>();
  readonly #children = new Map<string, string[]>();
  /** Number of synsets below each one, including itself, in the tree of first parents. */
  readonly #sizes = new Map<string, number>();

  /** @throws DataError if hypernyms are circular */
  constructor(synsets: ReadonlyMap<string, Synset>) {
    for (const { id, hypernyms, instanceOf } of synsets.values()) {
      const parents = [...new Set([...hypernyms, ...instanceOf])];
      this.#parents.set(id, parents);
      for (const parent of parents) {
        const children = this.#children.get(parent);
        if (children === undefined) this.#children.set(parent, [id]);
        else children.push(id);
      }
    }
    for (const id of synsets.keys()) {
      for (const ancestor of this.#chain(id)) this.#sizes.set(ancestor, (this.#sizes.get(ancestor) ?? 0) + 1);
    }
  }

  /** Returns the ids of the direct hypernyms. */
  parents(id: string): readonly string[] {
    return this.#parents.get(id) ?? [];
  }

  /** Returns the ids of the direct hyponyms. */
  children(id: string): readonly string[] {
    return this.#children.get(id) ?? [];
  }

  /** Returns the ids of the other synsets under a parent of this one. */
  siblings(id: string): string[] {
    const all = new Set(this.parents(id).flatMap((parent) => this.children(parent)));
    all.delete(id);
    return [...all];
  }

  /** Returns the ids of the given synsets and of everything below them. */
  below(roots: Iterable<string>): Set<string> {
    const found = new Set(roots);
    for (const id of found) for (const child of this.children(id)) found.add(child);
    return found;
  }

  /**
   * Returns the subtrees to which a synset's sibling groups belong. A sibling group is named by its parent. It belongs to the
   * largest subtree of at most {@link SUBTREE_SIZE} synsets that holds the parent; above all such subtrees it is a subtree of its
   * own. Keeping subtrees apart therefore keeps sibling groups apart.
   */
  subtrees(id: string): string[] {
    return [...new Set(this.parents(id).map((parent) => this.#subtree(parent)))];
  }

  #subtree(parent: string): string {
    let largest = parent;
    for (const ancestor of this.#chain(parent)) {
      if ((this.#sizes.get(ancestor) ?? 0) > SUBTREE_SIZE) break;
      largest = ancestor;
    }
    return largest;
  }

  /** Returns the synset and its ancestors by first parents, up to the root. */
  #chain(id: string): string[] {
    const chain = [id];
    for (let parent = this.parents(id)[0]; parent !== undefined; parent = this.parents(parent)[0]) {
      if (chain.push(parent) > LONGEST_CHAIN) {
        throw new DataError('its hypernyms are circular', { id, fix: 'Use an unchanged WordNet database.' });
      }
    }
    return chain;
  }
}
