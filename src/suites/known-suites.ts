import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { BEIR_DATASETS, BRIGHT, type HubSource, NANO_BEIR, TREC_DL } from '../data/index.ts';
import { UsageError } from '../system/index.ts';
import { readSuiteFile, type Suite, type SuiteSet } from './suite-schema.ts';

/** What a suite may be, for help texts. */
export const SUITE_IN_WORDS =
  'beir15, beir:NAME,NAME, a FILE.yaml that lists your own collections, or the folder of one';

/** Encoders are trained on MS MARCO, so a mean without it is reported as well. */
const TRAINED_ON = 'msmarco';

/** Suites of data that are converted when they are downloaded. */
const HUB_SUITES: Readonly<Record<string, { sets: Readonly<Record<string, HubSource>>; without?: string }>> = {
  nanobeir: { sets: NANO_BEIR, without: 'NanoMSMARCO' },
  'trec-dl': { sets: TREC_DL },
  bright: { sets: BRIGHT },
};

/**
 * Finds a suite by its name, its file, or the folder of a single data set.
 * @throws UsageError for an unknown name; DataError for a broken file
 */
export async function findSuite(name: string): Promise<Suite> {
  if (name === 'beir15') return beirSuite('beir15', Object.keys(BEIR_DATASETS));
  if (name.startsWith('beir:')) return beirSuite('beir', name.slice('beir:'.length).split(','));
  const hub = Object.hasOwn(HUB_SUITES, name) ? HUB_SUITES[name] : undefined;
  if (hub !== undefined) {
    return {
      name,
      without: hub.without,
      sets: Object.entries(hub.sets).map(([set, source]) => hubSet(name, set, source)),
    };
  }
  if (/\.ya?ml$/i.test(name)) return readSuiteFile(name);
  const folder = resolve(name);
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return folderSuite(folder);
  if (found !== undefined) {
    throw new UsageError('is neither a folder nor a .yaml file', {
      file: folder,
      fix: 'A suite of your own is a file that ends in .yaml; see docs/suites.md.',
    });
  }
  throw new UsageError(`${JSON.stringify(name)} is neither a suite nor a file or folder`, {
    fix: `Use ${SUITE_IN_WORDS}.`,
  });
}

function beirSuite(name: string, names: readonly string[]): Suite {
  const sets = [...new Set(names)].flatMap((one) => beirSets(one.trim()));
  return { name, sets, without: TRAINED_ON };
}

function beirSets(name: string): SuiteSet[] {
  const known = Object.hasOwn(BEIR_DATASETS, name) ? BEIR_DATASETS[name] : undefined;
  if (known === undefined) {
    throw new UsageError(`${JSON.stringify(name)} is not one of BEIR's data sets`, {
      fix: `Choose from ${Object.keys(BEIR_DATASETS).join(', ')}.`,
    });
  }
  const { split, parts, documents, queries } = known;
  if (parts === undefined) return [{ name, split, documents, queries, source: { kind: 'beir', name } }];
  return Object.entries(parts).map(([part, counts]) => {
    return { name: `${name}/${part}`, group: name, split, ...counts, source: { kind: 'beir', name, part } };
  });
}

function hubSet(suite: string, name: string, source: HubSource): SuiteSet {
  const { split, documents, queries } = source;
  const folder = suite === 'bright' ? `bright-${name}` : name;
  return { name, split, documents, queries, source: { kind: 'hub', name: folder, source } };
}

function folderSuite(folder: string): Suite {
  const name = basename(folder);
  return { name, sets: [{ name, split: 'test', source: { kind: 'folder', folder } }] };
}

/**
 * Keeps only some sets of a suite: by the name of a set or of a group.
 * @throws UsageError for a name that the suite lacks
 */
export function chooseSets(suite: Suite, names: readonly string[] | undefined): Suite {
  if (names === undefined) return suite;
  const known = new Set(suite.sets.flatMap(({ name, group }) => (group === undefined ? [name] : [name, group])));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw new UsageError(`the suite ${suite.name} has no set ${JSON.stringify(unknown)}`, {
      fix: `Choose from ${[...known].join(', ')}.`,
    });
  }
  const sets = suite.sets.filter(({ name, group = '' }) => names.includes(name) || names.includes(group));
  return { ...suite, sets };
}
