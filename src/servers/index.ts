export {
  isServerAddress,
  parseServerAddress,
  type ServerAddress,
  serverAddressSchema,
  serverOrNameSchema,
} from './address.ts';
export { readComplaint } from './answer-words.ts';
export { type ChatAnswer, readChatAnswer } from './chat-answer.ts';
export { readEmbeddings, readEmbeddingTokens } from './embedding-answer.ts';
export { refuseIdleOptions, refuseServerOptions } from './idle-options.ts';
export type { Server } from './server.ts';
export { faultOf, ServerFault } from './server-fault.ts';
export { type Ask, LongWaitError, type PoolOptions, ServerPool, type Unfit } from './server-pool.ts';
