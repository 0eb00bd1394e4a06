// Clients of the node's block validation and block assembly services over gRPC: health of both, and the state of block
// assembly.
import type { BlockAssemblyDetails } from '../../domain/node-status.ts';
import { BlockAssemblyAPI, type StateMessage } from '../../gen/blockassembly_api_pb.js';
import { BlockValidationAPI } from '../../gen/blockvalidation_api_pb.js';
import type { BlockAssemblyClient, BlockValidationClient } from '../../ports/validation-services.ts';
import { ServiceChannel, type ServiceDependencies, type ServiceOptions } from './service-channel.ts';

/** As many as readers of a node status accept; the rest is cut. */
const MAX_SUBTREES = 10_000;
const MAX_HASH_CHARS = 64;
/** States are single words. */
const MAX_STATE_CHARS = 64;

/** The first call connects. Throws ADDRESS_INVALID, SETTINGS_INVALID (certificate files, API key). */
export function blockValidationClient(deps: ServiceDependencies, options: ServiceOptions): BlockValidationClient {
  const channel = new ServiceChannel('blockvalidation', deps, options);
  channel.open();
  return {
    probe: (deadlineMs) => channel.probe(BlockValidationAPI.method.healthGRPC, deadlineMs),
    close: () => channel.close(),
  };
}

/** The first call connects. Throws ADDRESS_INVALID, SETTINGS_INVALID (certificate files, API key). */
export function blockAssemblyClient(deps: ServiceDependencies, options: ServiceOptions): BlockAssemblyClient {
  const channel = new ServiceChannel('blockassembly', deps, options);
  channel.open();
  return {
    state: () => channel.call(BlockAssemblyAPI.method.getBlockAssemblyState, {}, assemblyDetails),
    probe: (deadlineMs) => channel.probe(BlockAssemblyAPI.method.healthGRPC, deadlineMs),
    close: () => channel.close(),
  };
}

/** Throws RangeError for hashes that are too long. */
function assemblyDetails(message: StateMessage): BlockAssemblyDetails {
  const subtrees = message.subtrees.slice(0, MAX_SUBTREES);
  if (![message.currentHash, ...subtrees].every((hash) => hash.length <= MAX_HASH_CHARS)) {
    throw new RangeError(`a hash has more than ${MAX_HASH_CHARS} digits`);
  }
  return {
    blockAssemblyState: message.blockAssemblyState.slice(0, MAX_STATE_CHARS),
    subtreeProcessorState: message.subtreeProcessorState.slice(0, MAX_STATE_CHARS),
    resetWaitCount: message.resetWaitCount,
    resetWaitTime: message.resetWaitTime,
    subtreeCount: message.subtreeCount,
    txCount: message.txCount,
    queueCount: message.queueCount,
    currentHeight: message.currentHeight,
    currentHash: message.currentHash,
    removeMapCount: message.removeMapCount,
    subtrees,
  };
}
