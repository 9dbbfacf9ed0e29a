export { isNothingThere, judgeFailure, retryAfterSeconds, type Verdict } from './server-faults.ts';
export { normalizeBaseUrl, type Server, ServerPool } from './server-pool.ts';
