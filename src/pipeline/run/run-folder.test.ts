import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError } from '../../system/index.ts';
import { RunFolder, type StageWork } from './run-folder.ts';

let folder: string;
let run: RunFolder;
let done: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llm-qe-run-'));
  run = new RunFolder(folder);
  done = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function work(settings: Record<string, unknown>, content = 'words'): StageWork {
  return {
    stage: 'pairs',
    settings,
    run: async (place) => {
      done.push(content);
      const file = join(place, 'out.txt');
      await writeFile(file, content);
      return { outputs: { out: file }, result: { pairs: 3 } };
    },
  };
}

describe('the folder of a run', () => {
  it('does a stage once', async () => {
    const first = await run.stage(work({ margin: 1 }));
    const second = await run.stage(work({ margin: 1 }));
    expect(done).toHaveLength(1);
    expect([first.reused, second.reused]).toEqual([false, true]);
    expect(second.record).toEqual(first.record);
    expect(second.record.result).toEqual({ pairs: 3 });
    expect(second.record.outputs.out).toMatchObject({ file: 'out.txt', bytes: 5 });
  });

  it('takes settings for the same whatever their order', async () => {
    await run.stage(work({ a: 1, b: undefined, c: { d: 2, e: 3 } }));
    expect((await run.stage(work({ c: { e: 3, d: 2 }, a: 1 }))).reused).toBe(true);
  });

  it('gives changed settings a folder of their own, and says what changed', async () => {
    const first = await run.stage(work({ margin: 1, input: 'a'.repeat(64) }));
    const second = await run.stage(work({ margin: 2, input: 'b'.repeat(64) }, 'others'));
    expect(second.reused).toBe(false);
    expect(second.folder).not.toBe(first.folder);
    expect(second.changes).toEqual(['margin: 1, now 2', 'input: other content']);
    expect((await run.stage(work({ margin: 1, input: 'a'.repeat(64) }))).reused).toBe(true);
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it('goes on in the same folder after a fault, and adds the times up', async () => {
    const broken = work({ margin: 1 });
    const places: string[] = [];
    broken.run = async (place) => {
      places.push(place);
      await writeFile(join(place, 'half.txt'), 'half');
      throw new Error('power cut');
    };
    await expect(run.stage(broken)).rejects.toThrow('power cut');
    expect(await run.find('pairs', { margin: 1 })).toBeUndefined();
    const { folder: place, reused } = await run.stage(work({ margin: 1 }));
    expect(reused).toBe(false);
    expect(place).toBe(places[0]);
    expect(readdirSync(place).sort()).toEqual(['half.txt', 'out.txt', 'stage.json']);
    expect(await run.find('pairs', { margin: 1 })).toBeDefined();
  });

  it('refuses an output that was changed since', async () => {
    const { folder: place } = await run.stage(work({}));
    writeFileSync(join(place, 'out.txt'), 'other words');
    const again = run.stage(work({}));
    await expect(again).rejects.toBeInstanceOf(DataError);
    await expect(again).rejects.toThrow(/out\.txt: was changed since stage pairs wrote it/);
  });

  it('refuses a broken record', async () => {
    const { folder: place } = await run.stage(work({}));
    writeFileSync(join(place, 'stage.json'), '{"stage"');
    await expect(run.stage(work({}))).rejects.toThrow(/stage\.json: is not the record of a stage/);
  });
});
