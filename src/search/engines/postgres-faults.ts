import { ConnectionError, isAbort, LlmQeError, NetworkError, ResourceError, UsageError } from '../../system/index.ts';

/** Codes of Node's sockets for a connection that is not there, or was lost. */
const LOST = /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/;

/**
 * PostgreSQL's codes for what passes by itself: connection failures (08), a server that starts or shuts down (57P), too many
 * connections, and transactions that were in each other's way.
 */
const PASSING = /^(08\w{3}|57P0[1-3]|53300|40001|40P01)$/;

/** What PostgreSQL's other codes (appendix A of its manual) ask of the user. */
const FIXES: Record<string, (place: string) => LlmQeError['fix']> = {
  '28P01': () => 'Check user and password in the address, or set PGPASSWORD.',
  28000: () => 'Check the user in the address, and what pg_hba.conf of the server allows.',
  '3D000': () => 'Check the name of the database in the address, or create it: createdb NAME.',
  '0A000': () => 'Let an administrator install pgvector 0.8 or newer, and run CREATE EXTENSION vector.',
  '58P01': () => 'Install pgvector on the server: https://github.com/pgvector/pgvector#installation.',
  54000: () =>
    'A document has more different words, or a vector more dimensions, than pgvector takes: use Milvus, or divide the document.',
  42501: () => 'Let an administrator grant this, or run CREATE EXTENSION vector.',
};

/** Turns an error of the client into a typed one; ConnectionError if the call may be repeated. */
export function postgresFault(error: unknown, shown: string): unknown {
  if (error instanceof LlmQeError || isAbort(error) || !(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // Node gathers the failures of several addresses of one host.
  const reason = error instanceof AggregateError ? String(error.errors[0]?.message ?? code) : error.message;
  const said = `PostgreSQL at ${shown}: ${reason}`;
  if (isLost(code, reason)) return new ConnectionError(said, { fix: 'Check that the server runs.', cause: error });
  if (code === '53100') {
    const fix = 'Free space on the server and run the same command again: what was loaded is kept.';
    return new ResourceError(`the disk of the server is full. ${said}`, { fix, cause: error });
  }
  const fix = FIXES[code]?.(shown);
  if (fix !== undefined) return new UsageError(said, { fix, cause: error });
  return new NetworkError(said, { fix: 'Check the address and the server.', cause: error });
}

function isLost(code: string, message: string): boolean {
  return (
    LOST.test(code) ||
    PASSING.test(code) ||
    /connection (terminated|timeout|ended|error)|timeout exceeded|not queryable/i.test(message)
  );
}
