// Binary forms survive any bytes.
import { fuzzSuite } from './engine/suite.ts';
import { FORMAT_TARGETS } from './targets/formats.ts';

fuzzSuite(FORMAT_TARGETS);
