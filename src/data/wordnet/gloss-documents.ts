import { glossWords, isOffensive } from './gloss.ts';
import type { Synset } from './lexicon.ts';
import { findNearDuplicates } from './near-duplicates.ts';

/** Glosses whose sets of words have at least this Jaccard similarity count as duplicates. */
export const NEAR_DUPLICATE = 0.85;

/** A gloss that may be in the corpus. */
export interface GlossDocument {
  /** Id of the first synset that has the gloss. */
  id: string;
  text: string;
  /** The synsets that have this gloss, in the order of the database. */
  synsets: Synset[];
}

export interface GlossDocuments {
  documents: Map<string, GlossDocument>;
  /** Document by synset id. Synsets whose gloss was dropped are missing. */
  ofSynset: Map<string, GlossDocument>;
  /** Number of synsets that were merged into an earlier one with an identical gloss. */
  merged: number;
  /** Number of synsets without a document, by reason. */
  dropped: { empty: number; offensive: number; nearDuplicate: number };
}

/**
 * Makes documents of glosses. Identical glosses (apart from case, punctuation and articles) become one document, which is relevant
 * for all its synsets. Of nearly identical glosses the first is kept and the others are dropped. Their small difference may be the
 * one that matters ("north of", "south of"), so the kept one does not answer for them.
 */
export function makeGlossDocuments(synsets: Iterable<Synset>): GlossDocuments {
  const dropped = { empty: 0, offensive: 0, nearDuplicate: 0 };
  const byWords = new Map<string, GlossDocument>();
  let merged = 0;
  for (const synset of synsets) {
    const words = glossWords(synset.definition).join(' ');
    const same = byWords.get(words);
    if (words === '') dropped.empty++;
    else if (isOffensive(synset)) dropped.offensive++;
    else if (same === undefined) byWords.set(words, { id: synset.id, text: synset.definition, synsets: [synset] });
    else {
      same.synsets.push(synset);
      merged++;
    }
  }
  const distinct = [...byWords.values()];
  const repeats = findNearDuplicates(
    [...byWords.keys()].map((words) => words.split(' ')),
    NEAR_DUPLICATE,
  );
  const documents = new Map<string, GlossDocument>();
  const ofSynset = new Map<string, GlossDocument>();
  for (const [number, document] of distinct.entries()) {
    if (repeats.has(number)) {
      dropped.nearDuplicate += document.synsets.length;
      merged -= document.synsets.length - 1;
      continue;
    }
    documents.set(document.id, document);
    for (const synset of document.synsets) ofSynset.set(synset.id, document);
  }
  return { documents, ofSynset, merged, dropped };
}
