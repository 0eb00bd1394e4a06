// Names and addresses survive any bytes.
import { fuzzSuite } from './engine/suite.ts';
import { ADDRESS_TARGETS } from './targets/addresses.ts';

fuzzSuite(ADDRESS_TARGETS);
