import { setTimeout as sleep } from 'node:timers/promises';
import { Command as Commander, CommanderError } from 'commander';
import { isServerAddress, refuseServerOptions } from '../servers/index.ts';
import {
  AbortedError,
  asMessage,
  exitInOrder,
  isAbort,
  isNativeWorkUnderWay,
  LlmQeError,
  packageVersion,
  refuseOverwriting,
  refuseUnwritable,
  systemFault,
  UsageError,
} from '../system/index.ts';
import { CATALOGUE, GROUPS } from './catalogue.ts';
import type { Command } from './command.ts';
import { addOptions, parseOptions } from './options.ts';
import { printable } from './printable.ts';
import { TerminalProgress } from './terminal-progress.ts';

const EXIT = { done: 0, failed: 1, wrongUse: 2 } as const;
/** How long work may take to end by itself after Ctrl-C. Journals make a forced exit safe. */
const GRACE_MILLISECONDS = 900;
/** How long the process outlives the last signal: while Node tears down, a further one would kill it before it has ended in order. */
const SETTLE_MILLISECONDS = 300;

/**
 * Runs one command line and returns the exit code: 0 done, 1 failed, 2 wrong use. An error goes to stderr as two lines:
 * what happened, and what to do. A stack trace is printed only for a bug in this program, or with LLM_QE_DEBUG=1.
 */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const progress = new TerminalProgress();
  const stop = new AbortController();
  const interrupts = stopOnInterrupt(stop, progress);
  try {
    const program = await buildProgram(words, progress, { signal: stop.signal, interrupts });
    await program.parseAsync([...words], { from: 'user' });
    return EXIT.done;
  } catch (error) {
    progress.close();
    return reportFailure(stop.signal.aborted && isAbort(error) ? new AbortedError() : error);
  } finally {
    progress.close();
    await interrupts.end();
  }
}

/** How a command learns that it is to end, and how it says how long that may take. */
interface Stop {
  signal: AbortSignal;
  interrupts: Interrupts;
}

interface Interrupts {
  graceMilliseconds: number;
  end(): Promise<void>;
}

/** Builds the command that was called, or all of them if there is none: for help and for suggestions. */
async function buildProgram(words: readonly string[], progress: TerminalProgress, stop: Stop) {
  const program = new Commander('llm-qe')
    .description('Query expansion with a language model that is aligned to the retriever.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showSuggestionAfterError(true)
    .showHelpAfterError('  See `llm-qe --help`.')
    .addHelpText('after', '\nStart with `llm-qe demo`. `llm-qe COMMAND --help` shows options and examples.');
  inherit(program);
  const called = [`${words[0]} ${words[1]}`, `${words[0]}`].find((name) => Object.hasOwn(CATALOGUE, name));
  for (const name of called === undefined ? Object.keys(CATALOGUE) : [called]) {
    const { command } = await CATALOGUE[name]!();
    addCommand(parentOf(program, name), command, progress, stop);
  }
  return program;
}

function parentOf(program: Commander, name: string): Commander {
  const [group, second] = name.split(' ');
  if (second === undefined) return program;
  const known = program.commands.find((command) => command.name() === group);
  const made = () => program.command(group!).description(GROUPS[group!] ?? '');
  return known ?? inherit(made()).showHelpAfterError(`  See \`llm-qe ${group} --help\`.`);
}

function addCommand(parent: Commander, command: Command, progress: TerminalProgress, stop: Stop): void {
  const target = inherit(parent.command(command.name.split(' ').at(-1)!))
    .summary(command.summary)
    .description([command.summary, ...paragraphs(command.description)].join('\n\n'))
    .addHelpText('after', `${formatList(command)}${formatExamples(command)}`)
    .showHelpAfterError(`  See \`llm-qe ${command.name} --help\`.`);
  addOptions(target, command);
  target.action(async (...given: unknown[]) => {
    const positional = given.slice(0, command.arguments?.length ?? 0);
    const named = Object.fromEntries((command.arguments ?? []).map(({ key }, index) => [key, positional[index]]));
    const options = parseOptions(command, { ...target.opts(), ...named });
    refuseIdleWait(options);
    await checkFiles(command, options);
    stop.interrupts.graceMilliseconds = command.graceMilliseconds ?? GRACE_MILLISECONDS;
    await command.run(options, contextFor(options.json === true, progress, stop.signal));
  });
}

/** Refuses `--max-wait` if no server is called. @throws UsageError */
function refuseIdleWait({ maxWait, generator, encoder, upstream }: Record<string, unknown>): void {
  if ([generator, encoder, upstream].flat().some((name) => typeof name === 'string' && isServerAddress(name))) return;
  refuseServerOptions(generator === undefined ? 'the encoder' : 'the generator', { '--max-wait': maxWait });
}

/** Checks all paths that a command declares. One without such a list declares its `--out`. */
async function checkFiles(command: Command, options: Record<string, unknown>): Promise<void> {
  const files = command.files?.(options);
  await refuseOverwriting(files ?? {});
  const { out } = options;
  const own = typeof out === 'string' ? { '--out': out } : {};
  await refuseUnwritable(files === undefined ? own : { ...files.outputs, ...files.outputFolders });
}

/** Splits a description into paragraphs without line breaks: the help wraps lines to the terminal's width. */
function paragraphs(text = ''): string[] {
  return text.split('\n\n').map((paragraph) => paragraph.replaceAll('\n', ' '));
}

function contextFor(json: boolean, progress: TerminalProgress, signal: AbortSignal) {
  return {
    signal,
    progress,
    say: (line: string) => {
      if (json) return progress.print(printable(line));
      progress.close();
      process.stdout.write(`${printable(line)}\n`);
    },
    warn: (line: string) => progress.warn(line),
    json: (document: unknown) => {
      if (json) process.stdout.write(`${JSON.stringify(document)}\n`);
    },
  };
}

/** Sets what commander does not pass on to commands that are added later. */
function inherit(command: Commander): Commander {
  return command.exitOverride().configureOutput({ outputError: (text, write) => write(text) });
}

function formatList({ list }: Command): string {
  if (list === undefined) return '';
  const width = Math.max(...list.items.map(([name]) => name.length));
  return `\n${list.heading}\n${list.items.map(([name, what]) => `  ${name.padEnd(width)}  ${what}`).join('\n')}\n`;
}

function formatExamples({ examples }: Command): string {
  const lines = examples.map(([line, what]) => `  # ${what}\n  $ ${line}`);
  return lines.length === 0 ? '' : `\nExamples:\n${lines.join('\n')}`;
}

function reportFailure(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.wrongUse;
  const known = error instanceof LlmQeError ? error : systemFault(error, faultyPath(error));
  if (known instanceof LlmQeError) {
    const what = known instanceof AbortedError ? 'stopped' : `error: ${known.message}`;
    process.stderr.write(printable(`${what}\n  ${known.fix}\n`));
    if (process.env.LLM_QE_DEBUG) process.stderr.write(`${asMessage(known.stack ?? '', 8000)}\n`);
    return known instanceof UsageError ? EXIT.wrongUse : EXIT.failed;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(
    printable(`error: this is a bug in llm-qe; please report it with these lines\n${asMessage(text, 8000)}\n`),
  );
  return EXIT.failed;
}

function faultyPath(error: unknown): string {
  return error instanceof Error && 'path' in error ? String(error.path) : 'a file';
}

/**
 * The first Ctrl-C requests an orderly stop. After the grace period, or on a later Ctrl-C, the process exits. Signals
 * within the grace period count as one, because `timeout` and terminals send several. Exiting during native code would
 * crash, so the process waits for the step in progress. Another Ctrl-C then kills the process, which loses nothing that
 * a journal holds.
 */
function stopOnInterrupt(stop: AbortController, progress: TerminalProgress): Interrupts {
  let askedAt = 0;
  let lastAt = 0;
  let leaving = false;
  let reported = false;
  const leave = async () => {
    if (leaving) return;
    leaving = true;
    progress.close();
    if (!reported) reportFailure(new AbortedError());
    if (isNativeWorkUnderWay())
      process.stderr.write('  Waiting for the step in progress; press Ctrl-C again to kill it.\n');
    await exitInOrder(EXIT.failed);
  };
  const interrupts: Interrupts = { graceMilliseconds: GRACE_MILLISECONDS, end: () => end() };
  const interrupt = () => {
    lastAt = performance.now();
    if (!stop.signal.aborted) {
      askedAt = performance.now();
      stop.abort();
      setTimeout(leave, interrupts.graceMilliseconds).unref();
    } else if (performance.now() - askedAt > interrupts.graceMilliseconds) {
      if (leaving && isNativeWorkUnderWay()) process.kill(process.pid, 'SIGKILL');
      void leave();
    }
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const end = async () => {
    reported = true;
    if (!stop.signal.aborted) process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    // Further signals of the same interruption may arrive: the handler stays until they have stopped.
    else while (performance.now() - lastAt < SETTLE_MILLISECONDS) await sleep(SETTLE_MILLISECONDS / 10);
  };
  return interrupts;
}
