// Every error that this program throws has a code from one table, so that operators and callers can tell them apart
// without reading text. What a peer does wrong is a value (Fault, ValidationResult), never one of these.

/** Code -> what it means and what to do. `docs/errors.md` is kept equal to this table by a test. */
export const ERROR_CODES = {
  SETTINGS_INVALID:
    'One or more settings, or files that they name, are missing or wrong. The message names each one and what would be right.',
  DATA_FOLDER_LOCKED: 'Another process uses this dataFolder. Give each node a folder of its own.',
  DATA_FOLDER_UNUSABLE: 'The dataFolder cannot be created or written.',
  LISTEN_FAILED: 'An address could not be listened on. Choose another port, or stop what uses it.',
  PRIVATE_KEY_INVALID: 'The private key is not 64 or 96 bytes of hex whose public half belongs to its seed.',
  NODE_NOT_STARTED: 'The P2P node was used before start or after stop.',
  TOPIC_UNKNOWN: 'A topic was used that the node was not started with.',
  MESSAGE_TOO_LARGE: 'A message to publish exceeds the 1 MiB that gossip carries.',
  PEER_UNREACHABLE: 'No connection to the peer could be made, or it does not speak the protocol.',
  ADDRESS_INVALID: 'A text is no multiaddr, IP address, domain name or URL of the kind needed.',
  KAFKA_URL_INVALID: 'A Kafka URL is malformed or has a parameter out of its range.',
  CHAIN_INVALID: 'A header does not connect, has no work, or belongs to another network.',
  CHAIN_STORE: 'The store of the embedded chain cannot be opened or is damaged.',
  INPUT_INVALID:
    'A request names an address, subnet, peer id, reason or time that is none. The message says what would be right.',
  STORE_UNAVAILABLE:
    'The store of bans and scores does not answer. It is asked again; what is in memory stays in force.',
  STORE_FAILED: 'The store of bans and scores refuses what was asked of it, and would again.',
  ADMIN_KEY_REFUSED: 'The admin key is weak, well-known, or its file cannot be used.',
  RPC_FAILED: 'A call over gRPC failed. The message carries what the other side said.',
  LIBRARY_INCOMPATIBLE:
    'A library lacks a part that this program cannot run safely without. Install the versions that package-lock.json names.',
  TIMEOUT: 'Something did not finish within its deadline.',
} as const;

/** One of the keys of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** The one error class. `details` is plain data for logs; `cause` is the error underneath, if any. */
export class P2PError extends Error {
  override readonly name = 'P2PError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { details?: Record<string, unknown>; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}
