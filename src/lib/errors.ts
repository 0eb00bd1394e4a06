// Every error that this program throws has a code from one table, so that operators and callers can tell errors apart
// without reading text. A peer's mistake is a value (Fault, ValidationResult), never one of these.

/** What a caller over HTTP or gRPC gets when an error of a code ends its request. */
interface ErrorAnswer {
  /** undefined: the error is a fault of this server. It answers 500 `INTERNAL` without the text, which the log has. */
  readonly http: { readonly status: number; readonly code: string } | undefined;
  /** `INTERNAL`: likewise without the text. */
  readonly grpc: 'INVALID_ARGUMENT' | 'RESOURCE_EXHAUSTED' | 'UNAVAILABLE' | 'DEADLINE_EXCEEDED' | 'INTERNAL';
}

const OUR_FAULT = { http: undefined, grpc: 'INTERNAL' } as const satisfies ErrorAnswer;
const INVALID_INPUT = {
  http: { status: 400, code: 'INPUT_INVALID' },
  grpc: 'INVALID_ARGUMENT',
} as const satisfies ErrorAnswer;

/**
 * Code -> what it means and what to do, and how HTTP and gRPC answer it. `docs/errors.md` is kept equal to this table
 * by a test.
 */
export const ERROR_CODES = {
  SETTINGS_INVALID: {
    meaning:
      'One or more settings, or files that they name, are missing or invalid. The message names each one and what is expected.',
    ...OUR_FAULT,
  },
  DATA_FOLDER_LOCKED: {
    meaning: 'Another process uses this dataFolder. Give each node a folder of its own.',
    ...OUR_FAULT,
  },
  DATA_FOLDER_UNUSABLE: { meaning: 'The dataFolder cannot be created or written.', ...OUR_FAULT },
  BACKUP_FAILED: {
    meaning:
      'A backup could not be written or restored: the file exists or cannot be read, the data folder has files, or the disk is full.',
    ...OUR_FAULT,
  },
  LISTEN_FAILED: {
    meaning: 'The server cannot listen on an address. Choose another port, or stop the program that uses it.',
    ...OUR_FAULT,
  },
  PRIVATE_KEY_INVALID: {
    meaning:
      'The private key is in none of the accepted forms, its halves do not match, or its file cannot be read or written.',
    ...OUR_FAULT,
  },
  NODE_NOT_STARTED: {
    meaning: 'The P2P node was used before start or after stop.',
    http: { status: 503, code: 'NOT_READY' },
    grpc: 'UNAVAILABLE',
  },
  TOPIC_UNKNOWN: { meaning: 'The P2P node was not started with this topic.', ...OUR_FAULT },
  MESSAGE_TOO_LARGE: {
    meaning:
      'A message to publish exceeds the 1 MiB that gossip carries, or the size that receivers on message-bus accept.',
    ...OUR_FAULT,
  },
  PEER_UNREACHABLE: {
    meaning: 'There is no connection to the peer, none could be made, or it does not speak the protocol.',
    http: { status: 502, code: 'PEER_UNREACHABLE' },
    grpc: 'INTERNAL',
  },
  ADDRESS_INVALID: {
    meaning: 'A text is not a multiaddr, IP address, domain name or URL of the kind needed.',
    ...INVALID_INPUT,
  },
  KAFKA_URL_INVALID: { meaning: 'A Kafka URL is malformed or has a parameter out of range.', ...OUR_FAULT },
  CHAIN_INVALID: {
    meaning: 'A header does not connect, has too little work, or belongs to another network.',
    ...OUR_FAULT,
  },
  CHAIN_STORE: { meaning: 'The store of the embedded chain cannot be opened or is damaged.', ...OUR_FAULT },
  INPUT_INVALID: {
    meaning: 'A request has an invalid address, subnet, peer ID, reason or time. The message says what is expected.',
    ...INVALID_INPUT,
  },
  FILE_UNUSABLE: {
    meaning: 'A file that a command or a setting names cannot be read, written, or used.',
    ...OUR_FAULT,
  },
  NOT_DONE: {
    meaning:
      'A command had nothing to change or to show: no such ban or block, a file that exists already, or an answer other than yes.',
    ...OUR_FAULT,
  },
  ANSWER_TOO_LARGE: {
    meaning: 'The whole list is too long for a request without the admin key. Ask for it in pages, or send the key.',
    http: { status: 413, code: 'TOO_LARGE' },
    grpc: 'RESOURCE_EXHAUSTED',
  },
  STORE_UNAVAILABLE: {
    meaning:
      'The store of bans and scores does not answer. Writes are retried; bans and scores in memory stay in force.',
    http: { status: 503, code: 'STORE_UNAVAILABLE' },
    grpc: 'UNAVAILABLE',
  },
  STORE_FAILED: {
    meaning: 'The store of bans and scores refused an operation. Trying again would not help.',
    ...OUR_FAULT,
  },
  HISTORY_OFF: {
    meaning: 'This node keeps no history. Set p2p_history_days.',
    http: { status: 404, code: 'NOT_FOUND' },
    grpc: 'UNAVAILABLE',
  },
  ADMIN_KEY_REFUSED: { meaning: 'The admin key is weak or well-known, or its file cannot be used.', ...OUR_FAULT },
  RPC_FAILED: { meaning: 'A gRPC call to another service failed. The message carries its answer.', ...OUR_FAULT },
  LIBRARY_INCOMPATIBLE: {
    meaning:
      'A library, or Node.js, lacks a part that this program cannot run safely without. Install the versions that package-lock.json names.',
    ...OUR_FAULT,
  },
  TIMEOUT: {
    meaning: 'An operation did not finish within its deadline.',
    http: { status: 504, code: 'TIMEOUT' },
    grpc: 'DEADLINE_EXCEEDED',
  },
} as const satisfies Readonly<Record<string, ErrorAnswer & { readonly meaning: string }>>;

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
