#!/usr/bin/env node
import { guardOutput } from './output-streams.ts';
import { runCommandLine } from './run.ts';

guardOutput();
// If the event loop ever runs dry below, the exit code must not be that of success.
process.exitCode = 1;
process.exitCode = await runCommandLine(process.argv.slice(2));
