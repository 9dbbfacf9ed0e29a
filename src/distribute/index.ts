export { answerTasks, type Engine } from './queue/answer-tasks.ts';
export { connectQueueEncoder, connectQueueGenerator, declaredName, type EngineKind } from './queue/meeting.ts';
export { parseQueueAddress, type QueueAddress } from './queue/queue-address.ts';
export { serveJobs } from './queue/serve-jobs.ts';
export { openJoinedTexts } from './shards/joined-texts.ts';
export { evenShare, formatShard, isInShard, type Shard, shardSchema, shardsFolderOf } from './shards/shard.ts';
export { type ShardedQuery, TextShard } from './shards/text-shard.ts';
export { encodeShard, joinVectorShards, type ShardedCorpus } from './shards/vector-shards.ts';
