// `compose` for programs that import the package and may never run a server: HTTP, gRPC, Kafka and SQL are loaded by its
// first call.

import type { Settings } from '../settings/load.ts';
import type { App, AppOptions, compose as composeApp } from './compose.ts';

/** As in app/compose.ts. Throws P2PError. */
export async function compose(settings: Settings, options: AppOptions = {}): ReturnType<typeof composeApp> {
  const { compose: now } = await import('./compose.ts');
  return (await now(settings, options)) satisfies App;
}
