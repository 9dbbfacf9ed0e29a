export { createExpander, type Expander, remembering } from './expander.ts';
export {
  EXPANSION_STATES,
  type ExpanderOptions,
  type ExpandQueryOptions,
  type ExpansionState,
  LONGEST_BUDGET_MS,
  type QueryExpansion,
  type QueryVector,
} from './expander-options.ts';
export { ExpansionStore, type ExpansionStoreOptions, SERVED_CACHE } from './expansion-store.ts';
export { LatestOnly } from './http/latest-only.ts';
export { limitBody } from './http/limit-body.ts';
export { LOG_FORMATS, type LogFormat, RequestLog } from './http/request-log.ts';
export { type Listening, type ListenOptions, listen, listenWith } from './http/server.ts';
export { type McpEndpoint, type McpEndpointOptions, openMcpEndpoint, serveMcpOverStdio } from './mcp/mcp.ts';
export { compareGate, refuseOtherGate } from './query-gate.ts';
export { ruleAgainst } from './query-rules.ts';
export { RequestError } from './request-error.ts';
export { byName, SERVED_TEXTS, type ServedDocument, ServedIndex } from './served-index.ts';
export { chooseIndex, type Service } from './service.ts';
export { SharedGenerator } from './shared-generator.ts';
