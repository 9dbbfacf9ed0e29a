import { UsageError } from '../../system/index.ts';
import { openPrompt } from './alignment-inputs.ts';
import type { RecipeCheck } from './recipe-checks.ts';

/** Checks whether a prompt reads a gold document exactly if it gets one. Files are read, but never run. */
export function promptCheck(input: string, named: string, { readsDocument }: { readsDocument: boolean }): RecipeCheck {
  return {
    input,
    async find() {
      const prompt = await openPrompt(named);
      if (prompt.needsDocument === readsDocument) return prompt.name;
      if (readsDocument) {
        throw new UsageError(`prompt ${prompt.name} does not read the document`, {
          fix: 'Use q2a, or your own prompt with {query} and {document}.',
        });
      }
      throw new UsageError(`prompt ${prompt.name} reads a gold document, which is not available at search time`, {
        fix: 'Use q2d, q2q, q2e or q2c, or a prompt without {document}.',
      });
    },
  };
}
