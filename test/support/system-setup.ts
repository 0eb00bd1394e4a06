// Builds and fetches what the suites with tools need, before they start, so that files that run at the same time do not
// do it twice. A tool that is missing here is named by the test that needs it.
import { goBusBinary } from './go-bus.ts';
import { goDeployBinary } from './go-deploy.ts';
import { goGrpcBinary } from './go-grpc.ts';
import { goPeerBinary } from './go-peer.ts';
import { goWsBinary } from './go-ws.ts';
import { prepareKafka } from './kafka-broker.ts';
import { nativeVerifier } from './native-addon.ts';

export default async function setup(): Promise<void> {
  const goBinaries = [goPeerBinary, goBusBinary, goWsBinary, goGrpcBinary, goDeployBinary];
  for (const prepare of [prepareKafka, ...goBinaries, nativeVerifier]) {
    try {
      await prepare();
    } catch (error) {
      process.stderr.write(`${String(error)}\n`);
    }
  }
}
