export { readAnswers } from './answers.ts';
export type { AuditExample, AuditQuote, AuditText, RewardAudit, TemperatureShare } from './pairs/audit-types.ts';
export { buildPairs, type PairOptions, type PairResult } from './pairs/build-pairs.ts';
export { type Choosable, type ChosenPair, choosePairs, type PairChoice, type Unpaired } from './pairs/choose-pairs.ts';
export type { Distribution } from './pairs/distribution.ts';
export { defaultPairSettings, type PairSettings, pairSettings } from './pairs/pair-settings.ts';
export { type QueryGroup, readCandidateGroups, readRewardGroups } from './query-groups.ts';
export { REWARD_FORMAT, type RewardOptions, type RewardResult, rewardCandidates } from './reward-candidates.ts';
export { type RewardSummary, readRewardSummary } from './reward-summary.ts';
export {
  type CandidateSet,
  type GoldDocument,
  perCandidate,
  type SetSimilarities,
  type SetVectors,
} from './rewards/candidate-set.ts';
export {
  checkRewards,
  modulesAmong,
  type NamedReward,
  type OpenedRewards,
  openRewards,
  type RewardChoice,
  type RewardOpening,
} from './rewards/open-rewards.ts';
export {
  type FunctionRewardOptions,
  functionReward,
  loadReward,
  type RewardFunction,
  type RewardInput,
} from './rewards/own-reward.ts';
export type { Reward, WeightedReward } from './rewards/reward.ts';
export {
  type CandidateSearch,
  DenseCandidateSearch,
  type DenseSearchOptions,
  type DocumentIds,
  type FoundDocuments,
  RetrieverCandidateSearch,
  SearchReward,
  type TextSearch,
} from './rewards/search-reward.ts';
export type { Target } from './rewards/target-rewards.ts';
export { RankReward, ranksOf, SimilarityReward, ZScoreReward } from './rewards/target-rewards.ts';
