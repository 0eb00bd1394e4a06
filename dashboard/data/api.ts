// Requests to the API of the server that this page came from. The admin key is kept for this tab only, and is sent in a
// header only.
import { signal } from '@preact/signals';

const KEY_ITEM = 'teranode-p2p admin key';
const DEADLINE_MS = 8000;

export const adminKey = signal(sessionStorage.getItem(KEY_ITEM) ?? '');

export class ApiError extends Error {
  /** 0: the server did not answer. */
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether the request may succeed with the right admin key. */
  get needsKey(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** Empty: forgets it. */
export function setAdminKey(key: string): void {
  adminKey.value = key;
  if (key === '') sessionStorage.removeItem(KEY_ITEM);
  else sessionStorage.setItem(KEY_ITEM, key);
}

export function keyHeaders(): Record<string, string> {
  return adminKey.value === '' ? {} : { 'x-api-key': adminKey.value };
}

export interface CallOptions {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: object;
  /** Statuses besides 200 whose body is an answer too. */
  readonly alsoOk?: readonly number[];
  readonly deadlineMs?: number;
}

/** The body of the answer. Throws ApiError. */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const { method = 'GET', body, alsoOk = [], deadlineMs = DEADLINE_MS } = options;
  const headers = { accept: 'application/json', ...keyHeaders() };
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
      cache: 'no-store',
      signal: AbortSignal.timeout(deadlineMs),
    });
  } catch (cause) {
    throw new ApiError(0, 'NO_ANSWER', `the server does not answer (${String(cause)})`);
  }
  const answer = await response.json().catch(() => undefined);
  if (response.ok || alsoOk.includes(response.status)) return answer as T;
  throw await problemOf(response, answer);
}

/** The refusal of a response whose body may be a Problem. */
export async function problemOf(response: Response, answer: unknown): Promise<ApiError> {
  const { code = 'UNKNOWN', message = response.statusText } = (answer ?? {}) as { code?: string; message?: string };
  return new ApiError(response.status, code, message);
}
