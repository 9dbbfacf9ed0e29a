import { ConnectionError, isAbort, LlmQeError, NetworkError, ResourceError, UsageError } from '../../system/index.ts';

/** gRPC's codes for a call that may be repeated: deadline exceeded, aborted, unavailable. */
const PASSING = [4, 10, 14];
/** gRPC's codes for missing rights: permission denied, unauthenticated. */
const REFUSED = [7, 16];

/** What Milvus answers instead of an error of the call. */
export interface MilvusStatus {
  error_code?: string | number;
  reason?: string;
  code?: number;
  retriable?: boolean;
}

/** Throws what a status tells, unless it tells a success. */
export function checkStatus(status: MilvusStatus, shown: string): void {
  if (status.error_code === 'Success' || (status.error_code === undefined && status.code === 0)) return;
  const said = `Milvus at ${shown}: ${status.reason || status.error_code}`;
  if (status.retriable === true) throw new ConnectionError(said, { fix: 'Check that the server runs.' });
  throw describeReason(said, status.reason ?? '', undefined);
}

/** Turns an error of the client into a typed one; ConnectionError if the call may be repeated. */
export function milvusFault(error: unknown, shown: string): unknown {
  if (error instanceof LlmQeError || isAbort(error) || !(error instanceof Error)) return error;
  const code = 'code' in error ? Number(error.code) : undefined;
  const said = `Milvus at ${shown}: ${error.message}`;
  if (isLost(code, error.message)) {
    return new ConnectionError(said, { fix: 'Check that the server runs.', cause: error });
  }
  if (code !== undefined && REFUSED.includes(code)) {
    const fix = 'Put user and password into the address (milvus:http://USER:PASSWORD@HOST:PORT).';
    return new UsageError(said, { fix, cause: error });
  }
  return describeReason(said, error.message, error);
}

function isLost(code: number | undefined, message: string): boolean {
  if (code !== undefined && PASSING.includes(code)) return true;
  return /UNAVAILABLE|ECONNREFUSED|ECONNRESET|DEADLINE_EXCEEDED|not connected|connection (dropped|closed)/i.test(
    message,
  );
}

function describeReason(said: string, reason: string, cause: Error | undefined): Error {
  if (/no space|disk.*(full|quota)|quota.*exceeded/i.test(reason)) {
    const fix = 'Free space on the server and run the same command again: what was loaded is kept.';
    return new ResourceError(said, { fix, cause });
  }
  return new NetworkError(said, { fix: 'Check the address and the server.', cause });
}
