// A command did its work and has printed what it found, which is a failure all the same: exit code 1 without an error.

export class NotOk extends Error {
  override readonly name = 'NotOk';
}
