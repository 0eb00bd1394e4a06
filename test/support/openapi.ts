// A client of the HTTP API that knows only the served OpenAPI document: it calls operations as described and validates
// every response.
import { z } from 'zod';

type Schema = Readonly<Record<string, unknown>>;

interface Described {
  readonly operationId: string;
  readonly security?: unknown;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema: Schema }>> }>>;
}

interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface DescribedOperation {
  readonly id: string;
  readonly method: string;
  /** With `{name}` for parameters. */
  readonly path: string;
  readonly needsKey: boolean;
  readonly described: Described;
}

export interface CallOptions {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: unknown;
  /** Raw body instead of `body`. */
  readonly text?: string;
  /** Default: the correct key for operations that need one. */
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

export class OpenApiClient {
  readonly document: OpenApi;
  private readonly address: string;
  private readonly adminKey: string;

  private constructor(address: string, adminKey: string, document: OpenApi) {
    this.address = address;
    this.adminKey = adminKey;
    this.document = document;
  }

  static async load(address: string, adminKey: string): Promise<OpenApiClient> {
    const response = await fetch(`http://${address}/openapi.json`);
    return new OpenApiClient(address, adminKey, (await response.json()) as OpenApi);
  }

  operations(): DescribedOperation[] {
    return Object.entries(this.document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, described]) => ({
        id: described.operationId,
        method: method.toUpperCase(),
        path,
        needsKey: described.security !== undefined,
        described,
      })),
    );
  }

  /**
   * Throws when the document lacks the operation, the status or the content type, or when the response does not match
   * its schema.
   */
  async call(id: string, options: CallOptions = {}): Promise<Reply> {
    const operation = this.operations().find((each) => each.id === id);
    if (operation === undefined) throw new Error(`no operation ${id}`);
    const response = await this.send(operation, options);
    const { status, headers } = response;
    const type = headers.get('content-type')?.split(';', 1)[0] ?? '';
    const schema = operation.described.responses[status]?.content?.[type]?.schema;
    const text = await response.text();
    if (schema === undefined) throw new Error(`the document knows no ${status} ${type} of ${id}: ${text}`);
    const body: unknown = type === 'application/json' ? JSON.parse(text) : text;
    const { error } = this.validator(schema).safeParse(body);
    if (error !== undefined) throw new Error(`${id} ${status}: ${z.prettifyError(error)}: ${text}`);
    return { status, body, headers };
  }

  private async send({ path, method, needsKey }: DescribedOperation, options: CallOptions): Promise<Response> {
    const filled = path.replace(/\{(\w+)\}/g, (_whole, name) => encodeURIComponent(options.params?.[name] ?? ''));
    const key = 'key' in options ? options.key : needsKey ? this.adminKey : undefined;
    const text = options.text ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    return await fetch(`http://${this.address}${filled}${options.query ?? ''}`, {
      method,
      headers: {
        ...(key === undefined ? {} : { 'x-api-key': key }),
        ...(text === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(text === undefined ? {} : { body: text }),
      signal: AbortSignal.timeout(30_000),
    });
  }

  private validator(schema: Schema): z.ZodType {
    const { $ref } = schema;
    const whole = typeof $ref === 'string' ? this.document.components.schemas[$ref.split('/').at(-1) ?? ''] : schema;
    return z.fromJSONSchema(whole as Parameters<typeof z.fromJSONSchema>[0], { defaultTarget: 'openapi-3.0' });
  }
}
