// Servers, and answers to our clients survive any bytes.
import { fuzzSuite } from './engine/suite.ts';
import { SERVER_TARGETS } from './targets/servers.ts';

fuzzSuite(SERVER_TARGETS);
