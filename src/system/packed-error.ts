import {
  AbortedError,
  DataError,
  type FaultOptions,
  LlmQeError,
  ModelError,
  NetworkError,
  ResourceError,
  UsageError,
} from './errors.ts';

/** An error of a class of its own arrives as the nearest of these; the last fits every typed error. */
const TYPES = [AbortedError, UsageError, DataError, ModelError, NetworkError, ResourceError, LlmQeError];

/**
 * An error on its way to another thread. Structured clone keeps JavaScript's own errors, but would make a plain Error
 * of a typed one.
 */
export type PackedError = Error | { type: number; message: string; fields: FaultOptions };

/** A cause goes along as its text: it may be what cannot be cloned. */
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
  // The message names the place already.
  return Object.assign(new TYPES[packed.type]!(packed.message, { fix, cause }), place);
}
