// Gossip messages survive any bytes.
import { fuzzSuite } from './engine/suite.ts';
import { GOSSIP_TARGETS } from './targets/gossip.ts';

fuzzSuite(GOSSIP_TARGETS);
