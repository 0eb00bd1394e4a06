// Streams of peers survive any bytes.
import { fuzzSuite } from './engine/suite.ts';
import { STREAM_TARGETS } from './targets/streams.ts';

fuzzSuite(STREAM_TARGETS);
