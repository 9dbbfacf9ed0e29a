import { UsageError } from '../../system/index.ts';
import { openPrompt } from './alignment-inputs.ts';
import type { RecipeCheck } from './recipe-checks.ts';

/** Whether a prompt reads what it is given: a gold document, or none. Files are read, and none is run. */
export function promptCheck(input: string, named: string, { readsDocument }: { readsDocument: boolean }): RecipeCheck {
  return {
    input,
    async find() {
      const prompt = await openPrompt(named);
      if (prompt.needsDocument === readsDocument) return prompt.name;
      if (readsDocument) {
        throw new UsageError(`${prompt.name} does not read the document`, {
          fix: 'Choose q2a, or a prompt of your own that holds {query} and {document}.',
        });
      }
      throw new UsageError(`${prompt.name} reads a gold document, which a query that is searched lacks`, {
        fix: 'Choose q2d, q2q, q2e or q2c, or a prompt without {document}.',
      });
    },
  };
}
