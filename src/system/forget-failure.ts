/**
 * For something that is opened once and then shared. If the opening fails, `forget` lets the next call try again, so that one
 * failure (a signal, a full disk, a server that was down) is not permanent.
 */
export function forgetFailure<T>(opening: Promise<T>, forget: () => void): Promise<T> {
  opening.catch(forget);
  return opening;
}
