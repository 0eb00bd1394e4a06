// Requests and responses are checked by the zod schemas of their routes, the ones that the OpenAPI document shows. A
// response that does not match its schema is a bug of this program, and is not sent.
import type { FastifyInstance, FastifySchemaCompiler, FastifySerializerCompiler, FastifyServerOptions } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { shownTexts } from '../../../lib/shown-text.ts';
import type { Metrics } from '../../../ports/metrics.ts';

const MAX_REQUEST_ERROR_CHARS = 300;
const MAX_RESPONSE_ERROR_CHARS = 500;

/**
 * For Fastify, which would load Ajv and fast-json-stringify otherwise. Routes have the compilers of
 * {@link addValidation}, so these are for applications whose routes are never requested.
 */
export const NO_COMPILERS: Compilers = noCompilers();

type Compilers = NonNullable<FastifyServerOptions['schemaController']>;

function noCompilers(): Compilers {
  // Fastify's types expect those of Ajv.
  const compilersFactory: object = {
    buildValidator: () => () => () => true,
    buildSerializer: () => () => JSON.stringify,
  };
  return { compilersFactory };
}

export function addValidation(app: FastifyInstance, deps: { readonly metrics: Metrics | undefined }): void {
  app.setValidatorCompiler(validatorCompiler as FastifySchemaCompiler<unknown>);
  app.setSerializerCompiler(responseSerializer(deps.metrics) as FastifySerializerCompiler<unknown>);
  app.setSchemaErrorFormatter((errors, part) => {
    const name = part === 'querystring' ? 'query' : part;
    const texts = errors.map(({ instancePath, message }) => `${name}${instancePath.replace(/\/$/, '')}: ${message}`);
    return new Error(texts.join('; ').slice(0, MAX_REQUEST_ERROR_CHARS));
  });
}

/** Sends only what the schema names, and texts as they may be shown; throws when the response does not match it, which becomes a logged 500. */
function responseSerializer(metrics: Metrics | undefined): FastifySerializerCompiler<z.ZodType> {
  const refused = metrics?.counter(
    'teranode_p2p_http_answers_refused_total',
    'HTTP responses not sent because they did not match their schema, by route; each is a bug of this program',
    ['route'],
  );
  return (definition) => {
    const serialize = serializerCompiler(definition);
    return (body) => {
      try {
        return serialize(shownTexts(body));
      } catch (error) {
        refused?.add(1, { route: definition.url });
        const { cause } = error as Error;
        const why = cause instanceof z.core.$ZodError ? z.prettifyError(cause) : String(error);
        throw new TypeError(
          `the response of ${definition.url} does not match its schema: ${why.slice(0, MAX_RESPONSE_ERROR_CHARS)}`,
        );
      }
    };
  };
}
