import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isRunning } from '../../src/system/workers/process-identity.ts';
import { ChatServer } from './chat-server.ts';
import { HOSTILE } from './small-run.ts';
import { writeTinyDataset } from './tiny-dataset.ts';

/** A key that must be nowhere but in the environment and in the calls to the server. */
export const SECRET_KEY = 'sk-studio-secret-0123456789';

/**
 * A folder with a recipe of models with a few thousand weights, whose candidates a server writes. The server answers only while its
 * gate is open, so that a run can be met, stopped and killed in the middle of its first stage.
 */
export class RecipePlace {
  readonly folder: string;
  readonly chat: ChatServer;
  readonly #gate: Gate;
  readonly #environment = { home: process.env.LLM_QE_HOME, key: process.env.OPENAI_API_KEY };

  private constructor(folder: string, chat: ChatServer, gate: Gate) {
    [this.folder, this.chat, this.#gate] = [folder, chat, gate];
    process.env.LLM_QE_HOME = join(folder, 'home');
    process.env.OPENAI_API_KEY = SECRET_KEY;
  }

  static async open(): Promise<RecipePlace> {
    const folder = await mkdtemp(join(tmpdir(), 'recipes-'));
    const gate = new Gate();
    const chat = await ChatServer.start(async () => {
      await gate.passed;
      return undefined;
    });
    writeTinyDataset(join(folder, 'set'));
    await writeFile(join(folder, 'prompt.txt'), '{query}\n');
    await writeFile(join(folder, 'answer.txt'), '{query} {document}\n');
    await mkdir(join(folder, 'runs'));
    const place = new RecipePlace(folder, chat, gate);
    await writeFile(join(folder, 'tiny.yaml'), place.recipe());
    return place;
  }

  get runs(): string {
    return join(this.folder, 'runs');
  }

  recipe(): string {
    return `
name: tiny
description: ${JSON.stringify(HOSTILE)}
data: { kind: beir, folder: ${JSON.stringify(join(this.folder, 'set'))} }
generator:
  model: ${JSON.stringify(resolve('src/generate/goldens/tiny-llama.gguf'))}
  context: 64
  servers: [${JSON.stringify(this.chat.baseUrl)}]
encoder: { model: ${JSON.stringify(resolve('src/embed/goldens/tiny-encoder'))} }
prompt: ${JSON.stringify(join(this.folder, 'prompt.txt'))}
candidates: { samples: 2, temperatures: [1], maxTokens: 6 }
answers: { prompt: ${JSON.stringify(join(this.folder, 'answer.txt'))}, maxTokens: 6 }
reward: { weights: { similarity-gold: 1, similarity-answer: 0.5 } }
pairs: { minSimilarity: -2, dev: 0 }
dpo: { epochs: 1, batchSize: 2, maxLength: 64, learningRate: 0.001 }
sft: { enabled: false }
expansion: { maxTokens: 6 }
evaluation: { alphas: [0.5], depth: 5 }
`;
  }

  /** Lets the server answer, or keeps further calls waiting. */
  answer(isOpen: boolean): void {
    this.#gate.turn(isOpen);
  }

  /** The process of a run, by its mark. */
  async pid(run: string): Promise<number> {
    const file = join(this.runs, run, '.process');
    return existsSync(file) ? Number.parseInt(await readFile(file, 'utf8'), 10) : 0;
  }

  async close(): Promise<void> {
    this.answer(true);
    const pid = await this.pid('tiny');
    if (pid > 0 && isRunning(pid, undefined)) process.kill(pid, 'SIGKILL');
    await this.chat.stop();
    setVariable('LLM_QE_HOME', this.#environment.home);
    setVariable('OPENAI_API_KEY', this.#environment.key);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Gate {
  #open: () => void = () => {};
  passed: Promise<void> = Promise.resolve();

  constructor() {
    this.turn(false);
  }

  turn(isOpen: boolean): void {
    this.#open();
    if (isOpen) return;
    this.passed = new Promise((resolve) => {
      this.#open = resolve;
    });
  }
}

function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
