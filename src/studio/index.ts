export { ProgressFeed } from './http/progress-feed.ts';
export { type OpenStudio, openStudio } from './open-studio.ts';
export { type OtherWriter, Studio, type StudioOptions } from './studio.ts';
