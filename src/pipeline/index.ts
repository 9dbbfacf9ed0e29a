export { type DemoOptions, type DemoResult, type DemoSettings, runDemo } from './demo.ts';
