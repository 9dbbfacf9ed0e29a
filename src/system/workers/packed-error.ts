import {
  AbortedError,
  DataError,
  type FaultOptions,
  LlmQeError,
  ModelError,
  NetworkError,
  ResourceError,
  UsageError,
} from '../errors.ts';

/** An error of any other class arrives as the nearest of these. The last one fits every typed error. */
const TYPES = [AbortedError, UsageError, DataError, ModelError, NetworkError, ResourceError, LlmQeError];

/** An error in a message to another thread. Structured clone preserves JavaScript's own errors, but turns typed ones into a plain Error. */
export type PackedError = Error | { type: number; message: string; fields: FaultOptions };

/** The cause is passed as text because it may not be cloneable. */
export function packError(thrown: unknown): PackedError {
  if (!(thrown instanceof Error)) return new Error(String(thrown));
  if (!(thrown instanceof LlmQeError)) return thrown;
  const { message, fix, file, line, id, cause } = thrown;
  const text = cause instanceof Error ? cause.message : cause && String(cause);
  return {
    type: TYPES.findIndex((type) => thrown instanceof type),
    message,
    fields: { fix, file, line, id, cause: text },
  };
}

export function unpackError(packed: PackedError): Error {
  if (!('fields' in packed)) return packed;
  const { fix, cause, ...place } = packed.fields;
  // The message already contains the place.
  return Object.assign(new TYPES[packed.type]!(packed.message, { fix, cause }), place);
}
