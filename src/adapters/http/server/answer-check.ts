// Answers are held against the schemas that the document gives: what does not fit is our own fault, and does not leave.
import { z } from 'zod';
import type { Metrics } from '../../../ports/metrics.ts';

/** The answer with nothing but what its schema names. Throws when it does not fit, which becomes a 500 and stands in the log. */
export type AnswerCheck = <S extends z.ZodType>(route: string, schema: S, answer: unknown) => z.output<S>;

/** Lists have a thousand rows at most, of which one costs a microsecond or two. */
export function answerCheck(metrics: Metrics | undefined): AnswerCheck {
  const refused = metrics?.counter(
    'teranode_p2p_http_answers_refused_total',
    'HTTP answers that did not fit their schema, by route; each is a fault of this program',
    ['route'],
  );
  return (route, schema, answer) => {
    const { data, error } = schema.safeParse(answer);
    if (error === undefined) return data as z.output<typeof schema>;
    refused?.add(1, { route });
    throw new TypeError(`the answer of ${route} does not fit its schema: ${z.prettifyError(error).slice(0, 500)}`);
  };
}
