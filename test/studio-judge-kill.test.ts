import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import type { JudgeQuery, JudgeSession } from '../src/studio/shapes/judge.ts';
import { JudgingPlace, newSession } from './support/judging-studio.ts';

/** Starts `llm-qe studio` in a process of its own, and waits for its address. */
async function startStudio(place: JudgingPlace) {
  const words = ['studio', '--port', '0', '--no-open', '--runs', place.runs, '--corpus', `${place.folder}/letters`];
  const child = spawn(process.execPath, ['dist/cli/main.js', ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  const closed = once(child, 'close');
  const address = await new Promise<URL>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
      const found = /studio on (\S+)\n/.exec(log);
      if (found) resolve(new URL(found[1]!));
    });
    void closed.then(() => reject(new Error(`the studio ended: ${log}`)));
  });
  const headers = {
    authorization: `Bearer ${address.searchParams.get('token')}`,
    'content-type': 'application/json',
  };
  return {
    ask: (path: string, body?: object) =>
      fetch(new URL(`/api/judge${path}`, address.origin), {
        ...(body && { method: 'POST', body: JSON.stringify(body) }),
        headers,
      }),
    async kill() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

it('a studio that is killed in the middle of judging has lost no judgement that it answered, and needs no model to go on', async () => {
  const place = await JudgingPlace.open();
  try {
    const first = place.studio();
    await first.ask('/sessions', newSession());
    await first.until<JudgeSession>('/sessions/first', ({ preparing }) => !preparing);
    const { documents } = (await first.ask<JudgeQuery>('/sessions/first/queries/0?judge=ann')).body;
    await first.close();
    const studio = await startStudio(place);
    const said = (document: string, grade: number) => ({ judge: 'ann', row: 0, document, grade });
    const answered: string[] = [];
    // The kill comes with the third answer, while the others are under way.
    const calls = documents.map(async ({ id }) => {
      const answer = await studio.ask('/sessions/first/entries', said(id, 2)).catch(() => undefined);
      if (answer?.status !== 200) return;
      answered.push(id);
      if (answered.length === 3) await studio.kill();
    });
    await Promise.all(calls);
    expect(answered.length).toBeGreaterThanOrEqual(3);
    const again = await startStudio(place);
    const query = (await (await again.ask('/sessions/first/queries/0?judge=ann')).json()) as JudgeQuery;
    const graded = query.documents.filter(({ grade }) => grade === 2).map(({ id }) => id);
    expect(graded).toEqual(expect.arrayContaining(answered));
    expect((await again.ask('/sessions/first/entries', said(documents[0]!.id, 1))).status).toBe(200);
    await again.kill();
  } finally {
    await place.close();
  }
});
