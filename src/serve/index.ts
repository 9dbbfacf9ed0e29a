export {
  createExpander,
  EXPANSION_STATES,
  type Expander,
  type ExpanderOptions,
  type ExpandQueryOptions,
  type ExpansionState,
  type QueryExpansion,
  type QueryVector,
} from './expander.ts';
export { ExpansionStore, type ExpansionStoreOptions, SERVED_CACHE } from './expansion-store.ts';
export { type Listening, type ListenOptions, listen } from './http/server.ts';
export { ruleAgainst } from './query-rules.ts';
export { byName, SERVED_TEXTS, type ServedDocument, ServedIndex } from './served-index.ts';
