import { join } from 'node:path';
import type { TrainingQuery } from '../../data/index.ts';
import { writeJsonl } from '../../files/index.ts';
import { sampleCandidates } from '../../generate/index.ts';
import { leftOutOf } from '../../report/index.ts';
import { trainingQueriesKey } from '../run/alignment-inputs.ts';
import { copiesToMake, many, written } from '../run/estimates.ts';
import { generatorOf } from '../run/generators.ts';
import { runtimeCopies } from '../run/model-facts.ts';
import { openWriter, writerCheck, writerKey } from '../run/open-writer.ts';
import { promptCheck } from '../run/prompt-checks.ts';
import type { AlignmentStage } from '../run/stage.ts';

/** Samples many expansions of each training query. */
export const candidatesStage: AlignmentStage = {
  name: 'candidates',
  version: 1,
  wanted: () => true,
  settings({ recipe, prompt }) {
    const { queries: _limit, sampleSeed: _sample, seed = recipe.seed, ...sampling } = recipe.candidates;
    return { prompt: prompt.text, ...sampling, seed };
  },
  inputs(context) {
    const { recipe, data } = context;
    return {
      generator: writerKey(recipe.generator, generatorOf(context), recipe.candidates.maxTokens),
      queries: trainingQueriesKey(data, recipe),
    };
  },
  checks: ({ prompt }) => [promptCheck('prompt', prompt, { readsDocument: false })],
  dataChecks: ({ data }) => [
    {
      input: 'training queries',
      async find() {
        let count = 0;
        for await (const _query of (await data.training(true))()) count++;
        return `${count} queries with a gold document`;
      },
    },
  ],
  modelChecks: ({ recipe, models, options }) => [
    writerCheck('generator', recipe.generator, models.generator, recipe.candidates.maxTokens, options),
  ],
  estimate({ candidates, generator }, { counts, rates }) {
    const perQuery = candidates.samples * candidates.temperatures.length;
    const rate = generator.servers.length > 0 ? rates.generation : rates.embedded;
    const texts = counts.train * perQuery;
    return written(`${many(counts.train, 'query')}, ${perQuery} each`, { texts, limit: candidates.maxTokens, rate });
  },
  async files({ generator: { servers, gpu } }, { generator }) {
    return servers.length > 0 ? [] : copiesToMake(await runtimeCopies(generator, gpu));
  },
  async run(context, folder) {
    const { recipe, data, prompt, options } = context;
    const { samples, temperatures, topP, topK, maxTokens, seed = recipe.seed } = recipe.candidates;
    const generator = await openWriter(recipe.generator, generatorOf(context), maxTokens, options);
    try {
      const queries = await data.training(false);
      const { file, manifest, ...result } = await sampleCandidates({
        queries,
        ...{ generator, prompt, temperatures, samples, seed },
        sampling: { topP, topK, maxTokens },
        out: join(folder, 'candidates.jsonl'),
        signal: options.signal,
        progress: options.progress,
      });
      const leftOut = leftOutOf(result.candidates, {
        'candidates cut at the token limit': result.cutByLength,
        'candidates cut because the context was full': result.cutByContext,
        'candidates without text': result.empty,
        'candidates without text because the LLM was still thinking': result.unfinishedThought,
        'candidates without text because the prompt is longer than the context': result.promptTooLong,
        "candidates without text because of the server's content filter": result.contentFilter,
      });
      const texts = join(folder, 'queries.jsonl');
      await writeJsonl(texts, queryLines(queries()));
      return { outputs: { candidates: file, queries: texts }, result: { generator: generator.id, ...result, leftOut } };
    } finally {
      await generator.close();
    }
  },
};

/** The texts of the queries, by which people know what the candidates are for; the data set may have gone by then. */
async function* queryLines(queries: Iterable<TrainingQuery> | AsyncIterable<TrainingQuery>) {
  for await (const { id, text } of queries) yield { _id: id, text };
}
