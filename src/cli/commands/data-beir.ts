import { z } from 'zod';
import { BEIR_DATASETS, BEIR_MIRRORS, downloadBeir } from '../../data/index.ts';
import { offlineOption } from '../../retrieve/index.ts';
import { defineCommand } from '../command.ts';

const options = z.object({
  name: z.string().describe(`one of ${Object.keys(BEIR_DATASETS).join(', ')}`),
  out: z
    .string()
    .default('data')
    .describe('folder to write to: the data set becomes DIR/NAME')
    .meta({ valueName: 'DIR' }),
  baseUrl: z
    .url({ protocol: /^https?$/, error: 'expected an address that begins with http:// or https://' })
    .optional()
    .describe(
      `address of the folder that contains NAME.zip (default: $LLM_QE_BEIR_URL, or ${BEIR_MIRRORS.map(({ base }) => base).join(', then ')})`,
    )
    .meta({ valueName: 'URL' }),
  md5: z
    .string()
    .regex(/^[0-9a-f]{32}$/i, 'expected 32 hexadecimal digits')
    .optional()
    .describe('expected MD5 of the zip file, if the source serves another file than BEIR publishes')
    .meta({ valueName: 'HASH' }),
  offline: offlineOption,
  json: z.boolean().default(false).describe('print one JSON document'),
});

/** `llm-qe data beir`. */
export const command = defineCommand({
  name: 'data beir',
  summary: 'download, check and unpack a data set of the BEIR benchmark',
  description: 'An interrupted download resumes where it stopped. A data set that already exists is left unchanged.',
  arguments: [{ key: 'name', required: true }],
  options,
  examples: [
    ['llm-qe data beir scifact', 'SciFact, into data/scifact'],
    ['llm-qe data beir cqadupstack --out beir', 'the twelve forums, into beir/cqadupstack/android and so on'],
  ],
  async run({ name, out, baseUrl, md5, offline }, context) {
    const { signal, progress } = context;
    const datasets = await downloadBeir(name, { folder: out, baseUrl, md5, offline, signal, progress });
    const described = [];
    for (const dataset of datasets) {
      const splits = await dataset.splits();
      context.say(`${dataset.folder} (splits: ${splits.join(', ') || 'none'})`);
      described.push({ name: dataset.name, folder: dataset.folder, splits });
    }
    context.json({ datasets: described });
  },
});
