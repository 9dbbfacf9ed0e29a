import { LlmQeError } from '../system/index.ts';
import { findSuite } from './known-suites.ts';
import { folderOf } from './set-data.ts';

/**
 * Where the data of a suite's set may be: the folder that the suite names, or its place in the folder of downloads.
 * @param data folder of downloaded data sets; `data` by default, as for `llm-qe benchmark`
 * @returns none if the suite is not known here, such as one of another machine
 */
export async function setFolder(suite: string, set: string, data = 'data'): Promise<string[]> {
  try {
    const { sets } = await findSuite(suite);
    return sets.filter(({ name }) => name === set).map((one) => folderOf(one, data));
  } catch (error) {
    if (error instanceof LlmQeError) return [];
    throw error;
  }
}
