// One operation of the API: schemas that validate what comes and what is answered, and what it does. Routes and the OpenAPI document are both made
// from these, so that they cannot differ.
import { z } from 'zod';

export interface OperationInput<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
}

export interface Operation {
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With `:name` for parameters. */
  readonly path: string;
  readonly summary: string;
  readonly area: 'node' | 'peers' | 'bans' | 'gossip';
  /** Changes need the admin key. */
  readonly needsKey: boolean;
  readonly params: z.ZodObject | undefined;
  readonly query: z.ZodObject | undefined;
  readonly body: z.ZodObject | undefined;
  readonly answer: z.ZodType;
  /** Statuses beside 200 and those that any request may have. */
  readonly refusals: readonly number[];
  /** Throws P2PError, HttpProblem. */
  run(input: OperationInput<unknown, unknown, unknown>): unknown;
}

type Of<S> = S extends z.ZodType ? z.infer<S> : undefined;

interface Definition<P, Q, B, A extends z.ZodType> {
  readonly id: string;
  readonly method: Operation['method'];
  readonly path: string;
  readonly summary: string;
  readonly area: Operation['area'];
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly answer: A;
  readonly refusals?: readonly number[];
  run(input: OperationInput<Of<P>, Of<Q>, Of<B>>): z.input<A> | Promise<z.input<A>>;
}

type Schema = z.ZodObject | undefined;

/** An operation whose handler has the types of its schemas; whatever is no GET needs the key. */
export function operation<
  A extends z.ZodType,
  P extends Schema = undefined,
  Q extends Schema = undefined,
  B extends Schema = undefined,
>(definition: Definition<P, Q, B, A>): Operation {
  return {
    refusals: [],
    ...definition,
    needsKey: definition.method !== 'GET',
    params: definition.params,
    query: definition.query,
    body: definition.body,
    // It was held against these very schemas.
    run: (input) => definition.run(input as OperationInput<Of<P>, Of<Q>, Of<B>>),
  };
}

/** As Fastify's validator and OpenAPI 3.0 take it. `input`: what may come; `output`: what is answered. */
export function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { target: 'openapi-3.0', io });
  return rest;
}
