// Faults in the bytes of a peer. A fault is a value, not an exception.

/** A closed set: it labels a metric. */
export const FAULT_CODES = [
  'too_large',
  /** More values or fields than any real message has. */
  'too_many_values',
  'not_json',
  'not_object',
  'ambiguous_field',
  'missing_field',
  'wrong_type',
  'out_of_range',
  'unknown_type',
  'hash_form',
  'header_form',
  'not_protobuf',
  /** The data of an envelope is not base64. */
  'not_base64',
] as const;

export type FaultCode = (typeof FAULT_CODES)[number];

export interface Fault {
  readonly code: FaultCode;
  /** For people to read; at most 120 characters, escaped. */
  readonly detail: string;
}

/** A decoded message, or the fault in its bytes. */
export type Decoded<T> =
  | {
      readonly ok: true;
      readonly message: T;
      /** The bytes were an envelope of message-bus around the message. */
      readonly form?: 'envelope';
    }
  | { readonly ok: false; readonly fault: Fault };

const MAX_DETAIL = 120;

/** A fault whose detail may contain text from a peer. */
export function fault(code: FaultCode, detail: string): Fault {
  const escaped = JSON.stringify(detail.slice(0, MAX_DETAIL)).slice(1, -1);
  return { code, detail: escaped.slice(0, MAX_DETAIL) };
}

export function failed(code: FaultCode, detail: string): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault: fault(code, detail) };
}
