import { deriveSeed, Random, UsageError } from '../../system/index.ts';
import type { GlossDocument, GlossDocuments } from './gloss-documents.ts';
import { writeQuestion } from './questions.ts';
import type { Taxonomy } from './taxonomy.ts';
import { type Term, type TermList, termKey } from './terms.ts';

/** The splits, in the order of the files. */
export const SPLITS = ['train', 'dev', 'test'] as const;

export type Split = (typeof SPLITS)[number];

/** A question and its relevant documents. */
export interface AskedTerm {
  /** `q` and the digits of the first relevant document; never equal to the id of a document. */
  id: string;
  term: Term;
  question: string;
  /** Relevant documents, each with an irrelevant sibling as a hard negative; drawn only for training queries. */
  negatives: { positive: GlossDocument; negative: GlossDocument }[];
}

interface Materials {
  taxonomy: Taxonomy;
  glosses: GlossDocuments;
  terms: TermList;
}

/**
 * Draws the queries of all splits. Documents are visited in a seeded order. A term joins the split that owns the subtrees and the
 * synonyms of all its documents. Those without an owner become property of that split. If nothing decides the split, the one
 * furthest from its size is chosen. So no term (not even as a synonym), gloss or sibling group is in two splits, and no document
 * has two queries.
 *
 * @param sizes number of queries of each split
 * @throws UsageError if WordNet does not hold that many
 */
export function drawQueries(
  materials: Materials,
  sizes: Record<Split, number>,
  seed: number,
): Record<Split, AskedTerm[]> {
  const chosen: Record<Split, AskedTerm[]> = { train: [], dev: [], test: [] };
  const owners = new Map<string, Split>();
  const answered = new Set<string>();
  const order = new Random(deriveSeed(seed, 'documents')).shuffle([...materials.glosses.documents.values()]);
  for (const { id } of order) {
    const missing = SPLITS.filter((split) => chosen[split].length < sizes[split]);
    if (missing.length === 0) return chosen;
    for (const term of materials.terms.byDocument.get(id) ?? []) {
      if (term.documents.some((document) => answered.has(document.id))) continue;
      const claims = claimsOf(term.documents, materials.taxonomy);
      const negatives = drawNegatives(term, materials, seed);
      const open = missing.filter((split) => split !== 'train' || negatives.length > 0);
      const split = findSplit(claims, owners, open, chosen, sizes);
      if (split === undefined) continue;
      for (const claim of claims) owners.set(claim, split);
      for (const document of term.documents) answered.add(document.id);
      chosen[split].push(ask(term, split === 'train' ? negatives : [], seed));
      break;
    }
  }
  return refuseShortage(chosen, sizes);
}

/** Returns what a split must own to use these documents; empty if one of them is in no subtree. */
function claimsOf(documents: readonly GlossDocument[], taxonomy: Taxonomy): string[] {
  const synsets = documents.flatMap((document) => document.synsets);
  if (synsets.some(({ id }) => taxonomy.parents(id).length === 0)) return [];
  const subtrees = synsets.flatMap(({ id }) => taxonomy.subtrees(id));
  const synonyms = synsets.flatMap(({ words }) => words.map((word) => `term ${termKey(word)}`));
  return [...new Set([...subtrees, ...synonyms])];
}

/** Returns the split that may own all these claims; undefined if two splits own some, or if the only owner is full. */
function findSplit(
  claims: readonly string[],
  owners: ReadonlyMap<string, Split>,
  open: readonly Split[],
  chosen: Record<Split, AskedTerm[]>,
  sizes: Record<Split, number>,
): Split | undefined {
  if (claims.length === 0) return undefined;
  const owning = new Set(claims.map((claim) => owners.get(claim)).filter((owner) => owner !== undefined));
  if (owning.size > 1) return undefined;
  const [owner] = owning;
  if (owner !== undefined) return open.includes(owner) ? owner : undefined;
  const fullness = (split: Split) => chosen[split].length / sizes[split];
  return [...open].sort((a, b) => fullness(a) - fullness(b))[0];
}

/** Returns, for each relevant document, one sibling's gloss, drawn among those that are not relevant to the term. */
function drawNegatives(term: Term, { taxonomy, glosses }: Materials, seed: number): AskedTerm['negatives'] {
  const random = new Random(deriveSeed(seed, 'negatives', term.key));
  return term.documents.flatMap((positive) => {
    const siblings = siblingDocuments(positive, taxonomy, glosses).filter(
      (document) => !term.documents.includes(document),
    );
    const negative = siblings[random.below(siblings.length)];
    return negative === undefined ? [] : [{ positive, negative }];
  });
}

/** Returns the documents of the synsets that share a hypernym with one of this document's synsets. */
export function siblingDocuments(
  { synsets }: GlossDocument,
  taxonomy: Taxonomy,
  { ofSynset }: GlossDocuments,
): GlossDocument[] {
  const ids = synsets.flatMap(({ id }) => taxonomy.siblings(id));
  return [...new Set(ids.map((id) => ofSynset.get(id)).filter((document) => document !== undefined))];
}

function ask(term: Term, negatives: AskedTerm['negatives'], seed: number): AskedTerm {
  const random = new Random(deriveSeed(seed, 'question', term.key));
  const definitions = term.documents.map(({ text }) => text);
  const question = writeQuestion(term.text, term.kind, definitions, random);
  return { id: `q${term.documents[0]?.id.slice(1)}`, term, question, negatives };
}

function refuseShortage(chosen: Record<Split, AskedTerm[]>, sizes: Record<Split, number>): Record<Split, AskedTerm[]> {
  const short = SPLITS.filter((split) => chosen[split].length < sizes[split]);
  if (short.length === 0) return chosen;
  const found = SPLITS.map((split) => `${chosen[split].length} of ${sizes[split]} ${split}`).join(', ');
  throw new UsageError(`WordNet does not hold that many queries: found ${found}`, {
    fix: `Use at most ${short.map((split) => `--${split} ${chosen[split].length}`).join(' ')}, or fewer for the other splits.`,
  });
}

/** Maximum number of siblings of each relevant document that are distractors before other documents are. */
const SIBLINGS = 1;

/**
 * Draws the corpus: every relevant document and every hard negative; then siblings of relevant documents, up to half of what is
 * left; then any others.
 *
 * @returns documents in ascending order of id
 * @throws UsageError if the size is too small or too large
 */
export function drawCorpus(
  queries: Record<Split, AskedTerm[]>,
  { taxonomy, glosses }: Omit<Materials, 'terms'>,
  size: number,
  seed: number,
): GlossDocument[] {
  const asked = SPLITS.flatMap((split) => queries[split]);
  const relevant = asked.flatMap(({ term }) => term.documents);
  const corpus = new Set([...relevant, ...asked.flatMap(({ negatives }) => negatives.map(({ negative }) => negative))]);
  refuseSize(size, corpus.size, glosses.documents.size);
  const random = new Random(deriveSeed(seed, 'corpus'));
  const siblings = relevant.flatMap((document) =>
    random.shuffle(siblingDocuments(document, taxonomy, glosses)).slice(0, SIBLINGS),
  );
  addUpTo(corpus, random.shuffle(siblings), corpus.size + Math.floor((size - corpus.size) / 2));
  addUpTo(corpus, random.shuffle([...glosses.documents.values()]), size);
  return [...corpus].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function addUpTo(corpus: Set<GlossDocument>, documents: readonly GlossDocument[], size: number): void {
  for (const document of documents) {
    if (corpus.size >= size) return;
    corpus.add(document);
  }
}

function refuseSize(size: number, needed: number, available: number): void {
  if (size < needed) {
    throw new UsageError(`a corpus of ${size} documents cannot hold the ${needed} that the queries need`, {
      fix: `Use --corpus ${needed} or more, or fewer queries.`,
    });
  }
  if (size > available) {
    throw new UsageError(`a corpus of ${size} documents is more than WordNet's ${available} distinct noun glosses`, {
      fix: `Use --corpus ${available} or less.`,
    });
  }
}
