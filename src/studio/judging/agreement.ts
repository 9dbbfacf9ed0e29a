import { cohenKappa } from '../../measures/index.ts';
import type { JudgeAgreement, JudgePair } from '../shapes/judge.ts';
import type { JudgingSession } from './session.ts';
import { GRADES } from './settings.ts';

/** How far every two judges of a session agree, over the documents that both graded. */
export function agreementOf(session: JudgingSession): JudgeAgreement {
  const { judges } = session.ledger;
  const pairs = judges.flatMap((first, at) => judges.slice(at + 1).map((second) => pairOf(session, first, second)));
  return { pairs };
}

function pairOf({ ledger, settings, readyRows }: JudgingSession, first: string, second: string): JudgePair {
  const both: JudgePair['disagreements'] = [];
  for (const row of readyRows) {
    const [a, b] = [ledger.gradesOf(first, row), ledger.gradesOf(second, row)];
    for (const [document, grade] of a) {
      const other = b.get(document);
      if (other !== undefined) both.push({ row, query: settings.queries[row]!.text, document, grades: [grade, other] });
    }
  }
  const agreement = cohenKappa(
    both.map(({ grades }) => grades[0]),
    both.map(({ grades }) => grades[1]),
    GRADES,
  );
  const apart = ({ grades: [a, b] }: (typeof both)[number]) => Math.abs(a - b);
  const disagreements = both.filter((one) => apart(one) > 0).sort((a, b) => apart(b) - apart(a));
  return { judges: [first, second], ...agreement, disagreements };
}
