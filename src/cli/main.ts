#!/usr/bin/env node
import { guardOutput } from './output-streams.ts';
import { runCommandLine } from './run.ts';

guardOutput();
// Failed until proven otherwise: should the event loop ever run dry below, the caller must not read success.
process.exitCode = 1;
process.exitCode = await runCommandLine(process.argv.slice(2));
