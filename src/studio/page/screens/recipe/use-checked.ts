import { useEffect, useState } from 'preact/hooks';
import type { CheckedRecipe, RecipeForm } from '../../../shapes/recipes.ts';
import { send } from '../../client/request.ts';

/** What is typed is checked when it has not changed for a moment. */
const PAUSE_MS = 250;

/** What the server says of a form, which is checked again after each change. */
export function useChecked(form: RecipeForm): { checked: CheckedRecipe | undefined; error: unknown } {
  const [state, setState] = useState<{ checked: CheckedRecipe | undefined; error: unknown }>({
    ...{ checked: undefined, error: undefined },
  });
  const [isFirst, setFirst] = useState(true);
  useEffect(() => {
    const stop = new AbortController();
    const check = () => {
      setFirst(false);
      send<CheckedRecipe>('POST', '/api/recipes/check', form, { signal: stop.signal }).then(
        (checked) => setState({ checked, error: undefined }),
        (error: unknown) => {
          if (!stop.signal.aborted) setState((known) => ({ ...known, error }));
        },
      );
    };
    const timer = setTimeout(check, isFirst ? 0 : PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [JSON.stringify(form)]);
  return state;
}
