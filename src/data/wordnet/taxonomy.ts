import { DataError } from '../../system/index.ts';
import type { Synset } from './lexicon.ts';

/** Subtrees of at most this many synsets stay whole when the taxonomy is divided among the splits. */
export const SUBTREE_SIZE = 100;

/** No chain of hypernyms in WordNet is near this long; a longer one runs in a circle. */
const LONGEST_CHAIN = 100;

/** The hypernym relation (with instances) of all nouns. */
export class Taxonomy {
  readonly #parents = new Map<string, string[]>();
  readonly #children = new Map<string, string[]>();
  /** Synsets below each one, itself counted, in the tree of first parents. */
  readonly #sizes = new Map<string, number>();

  /** @throws DataError when hypernyms run in a circle */
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

  /** Ids of the synsets directly above. */
  parents(id: string): readonly string[] {
    return this.#parents.get(id) ?? [];
  }

  /** Ids of the synsets directly below. */
  children(id: string): readonly string[] {
    return this.#children.get(id) ?? [];
  }

  /** Ids of the other synsets under a parent of this one. */
  siblings(id: string): string[] {
    const all = new Set(this.parents(id).flatMap((parent) => this.children(parent)));
    all.delete(id);
    return [...all];
  }

  /** Ids of the given synsets and of everything below them. */
  below(roots: Iterable<string>): Set<string> {
    const found = new Set(roots);
    for (const id of found) for (const child of this.children(id)) found.add(child);
    return found;
  }

  /**
   * The subtrees that a synset's sibling groups belong to. A sibling group is named by its parent; it belongs to the
   * largest subtree of at most {@link SUBTREE_SIZE} synsets that holds the parent, or, above all such subtrees, stands
   * for itself. Whoever keeps subtrees apart thus keeps sibling groups apart.
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

  /** The synset and its ancestors by first parents, up to the root. */
  #chain(id: string): string[] {
    const chain = [id];
    for (let parent = this.parents(id)[0]; parent !== undefined; parent = this.parents(parent)[0]) {
      if (chain.push(parent) > LONGEST_CHAIN) {
        throw new DataError('its hypernyms run in a circle', { id, fix: 'Take an unchanged WordNet database.' });
      }
    }
    return chain;
  }
}
