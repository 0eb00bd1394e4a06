// grpc.health.v1.Health for the server as a whole and for each service. Not grpc-health-check: it remembers every name
// that a client watches, without a bound, and keeps watch streams open when the server stops.
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
type WatchStream = ServerWritableStream<Request, HealthCheckResponse>;

export class HealthService {
  private readonly services: ReadonlySet<string>;
  /** Bounded by the server's limits on streams and connections. */
  private readonly streams = new Set<WatchStream>();
  private isServing = false;

  /** `services`: full names. The empty name, which stands for the server as a whole, is always known. */
  constructor(services: readonly string[]) {
    this.services = new Set(['', ...services]);
  }

  addTo(server: Server): void {
    server.addService(serviceDefinition(Health), {
      Check: (call: ServerUnaryCall<Request, HealthCheckResponse>, done: sendUnaryData<HealthCheckResponse>) => {
        const current = this.statusOf(call.request);
        if (current !== Serving.SERVICE_UNKNOWN) done(null, create(HealthCheckResponseSchema, { status: current }));
        else if (call.request !== MALFORMED) done({ code: status.NOT_FOUND, details: 'unknown service' });
        else
          done({
            code: status.INVALID_ARGUMENT,
            details: `invalid bytes (expected ${HealthCheckRequestSchema.typeName})`,
          });
      },
      List: (_call: ServerUnaryCall<unknown, HealthListResponse>, done: sendUnaryData<HealthListResponse>) => {
        const now = create(HealthCheckResponseSchema, { status: this.status() });
        const statuses = Object.fromEntries([...this.services].map((name) => [name, now]));
        done(null, create(HealthListResponseSchema, { statuses }));
      },
      Watch: (call: WatchStream) => {
        this.send(call);
        this.streams.add(call);
        call.once('cancelled', () => this.streams.delete(call));
      },
    });
  }

  /** Notifies watch streams of a change. */
  setServing(isServing: boolean): void {
    if (isServing === this.isServing) return;
    this.isServing = isServing;
    for (const stream of this.streams) {
      if (this.statusOf(stream.request) !== Serving.SERVICE_UNKNOWN) this.send(stream);
    }
  }

  /** Reports NOT_SERVING and ends all watch streams. */
  stop(): void {
    this.setServing(false);
    for (const stream of this.streams) stream.end();
    this.streams.clear();
  }

  private send(stream: WatchStream): void {
    stream.write(create(HealthCheckResponseSchema, { status: this.statusOf(stream.request) }));
  }

  private statusOf(request: Request): Serving {
    const isKnown = request !== MALFORMED && this.services.has(request.service);
    return isKnown ? this.status() : Serving.SERVICE_UNKNOWN;
  }

  private status(): Serving {
    return this.isServing ? Serving.SERVING : Serving.NOT_SERVING;
  }
}
