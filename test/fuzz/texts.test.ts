// Settings files, orders, queries and other texts survive any bytes.
import { fuzzSuite } from './engine/suite.ts';
import { TEXT_TARGETS } from './targets/texts.ts';

fuzzSuite(TEXT_TARGETS);
