// Before the suites that need tools: what they build and fetch, one after the other, so that two files at a time do not do it twice. What is missing here
// is told by the test that needs it.
import { goGrpcBinary } from './go-grpc.ts';
import { goPeerBinary } from './go-peer.ts';
import { goWsBinary } from './go-ws.ts';
import { prepareKafka } from './kafka-broker.ts';

export default function setup(): void {
  for (const prepare of [prepareKafka, goPeerBinary, goWsBinary, goGrpcBinary]) {
    try {
      prepare();
    } catch (error) {
      process.stderr.write(`${String(error)}\n`);
    }
  }
}
