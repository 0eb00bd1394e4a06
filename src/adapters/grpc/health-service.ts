// grpc.health.v1.Health for the whole server and each of its services. The package brings the contract; its implementation is not used because
// it remembers every service name that anybody watches, and lets no watcher go when the server stops.
import type { Server, ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';

type ServingStatus = 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
interface HealthRequest {
  readonly service: string;
}
interface HealthResponse {
  readonly status: ServingStatus;
}
type Watcher = ServerWritableStream<HealthRequest, HealthResponse>;

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
    server.addService(service, {
      check: (call: ServerUnaryCall<HealthRequest, HealthResponse>, done: sendUnaryData<HealthResponse>) => {
        const current = this.statusOf(call.request.service);
        if (current !== 'SERVICE_UNKNOWN') done(null, { status: current });
        else done({ code: status.NOT_FOUND, details: 'no service of that name' });
      },
      list: (_call: ServerUnaryCall<unknown, unknown>, done: sendUnaryData<unknown>) => {
        const statuses = [...this.services].map((name) => [name, { status: this.statusOf(name) }]);
        done(null, { statuses: Object.fromEntries(statuses) });
      },
      watch: (call: Watcher) => this.watch(call),
    });
  }

  /** Tells watchers of a change. */
  setServing(isServing: boolean): void {
    if (isServing === this.isServing) return;
    this.isServing = isServing;
    for (const watcher of this.watchers) {
      const current = this.statusOf(watcher.request.service);
      if (current !== 'SERVICE_UNKNOWN') watcher.write({ status: current });
    }
  }

  /** Not serving, and no watcher keeps its stream. */
  stop(): void {
    this.setServing(false);
    for (const watcher of this.watchers) watcher.end();
    this.watchers.clear();
  }

  private watch(call: Watcher): void {
    call.write({ status: this.statusOf(call.request.service) });
    this.watchers.add(call);
    call.once('cancelled', () => this.watchers.delete(call));
  }

  private statusOf(name: string): ServingStatus {
    if (!this.services.has(name)) return 'SERVICE_UNKNOWN';
    return this.isServing ? 'SERVING' : 'NOT_SERVING';
  }
}
