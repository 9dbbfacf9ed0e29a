/**
 * For what is opened once and then shared: when the opening fails, `forget` lets the next call try again, so that one
 * failure (a signal, a full disk, a server that was down) is not kept for ever.
 */
export function forgetFailure<T>(opening: Promise<T>, forget: () => void): Promise<T> {
  opening.catch(forget);
  return opening;
}
