export { openJoinedTexts } from './shards/joined-texts.ts';
export { formatShard, isInShard, type Shard, shardSchema, shardsFolderOf } from './shards/shard.ts';
export { type ShardedQuery, TextShard } from './shards/text-shard.ts';
export { encodeShard, joinVectorShards, type ShardedCorpus } from './shards/vector-shards.ts';
