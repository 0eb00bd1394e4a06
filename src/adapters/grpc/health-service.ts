// grpc.health.v1.Health for the whole server and each of its services. Written here because the implementation that exists remembers every name
// that anybody watches, and lets no watcher go when the server stops.
import { create } from '@bufbuild/protobuf';
import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import {
  Health,
  type HealthCheckRequest,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  type HealthListResponse,
  HealthListResponseSchema,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../gen/grpc/health/v1/health_pb.js';
import { MALFORMED, serviceDefinition } from '../rpc/service-definition.ts';

type Request = HealthCheckRequest | typeof MALFORMED;
type Watcher = ServerWritableStream<Request, HealthCheckResponse>;

export class HealthService {
  private readonly services: ReadonlySet<string>;
  /** Bounded by the streams and connections that the server allows. */
  private readonly watchers = new Set<Watcher>();
  private isServing = false;

  /** `services`: full names; the empty name, which stands for the server as a whole, is always known. */
  constructor(services: readonly string[]) {
    this.services = new Set(['', ...services]);
  }

  addTo(server: Server): void {
    server.addService(serviceDefinition(Health), {
      Check: (call: ServerUnaryCall<Request, HealthCheckResponse>, done: sendUnaryData<HealthCheckResponse>) => {
        const current = this.statusOf(call.request);
        if (current !== Serving.SERVICE_UNKNOWN) done(null, create(HealthCheckResponseSchema, { status: current }));
        else if (call.request !== MALFORMED) done({ code: status.NOT_FOUND, details: 'no service of that name' });
        else done({ code: status.INVALID_ARGUMENT, details: `the bytes are no ${HealthCheckRequestSchema.typeName}` });
      },
      List: (_call: ServerUnaryCall<unknown, HealthListResponse>, done: sendUnaryData<HealthListResponse>) => {
        const now = create(HealthCheckResponseSchema, { status: this.status() });
        const statuses = Object.fromEntries([...this.services].map((name) => [name, now]));
        done(null, create(HealthListResponseSchema, { statuses }));
      },
      Watch: (call: Watcher) => {
        this.tell(call);
        this.watchers.add(call);
        call.once('cancelled', () => this.watchers.delete(call));
      },
    });
  }

  /** Tells watchers of a change. */
  setServing(isServing: boolean): void {
    if (isServing === this.isServing) return;
    this.isServing = isServing;
    for (const watcher of this.watchers) {
      if (this.statusOf(watcher.request) !== Serving.SERVICE_UNKNOWN) this.tell(watcher);
    }
  }

  /** Not serving, and no watcher keeps its stream. */
  stop(): void {
    this.setServing(false);
    for (const watcher of this.watchers) watcher.end();
    this.watchers.clear();
  }

  private tell(watcher: Watcher): void {
    watcher.write(create(HealthCheckResponseSchema, { status: this.statusOf(watcher.request) }));
  }

  private statusOf(request: Request): Serving {
    const isKnown = request !== MALFORMED && this.services.has(request.service);
    return isKnown ? this.status() : Serving.SERVICE_UNKNOWN;
  }

  private status(): Serving {
    return this.isServing ? Serving.SERVING : Serving.NOT_SERVING;
  }
}
