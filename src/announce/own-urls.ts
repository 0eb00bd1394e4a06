// Our own URLs as peers on message-bus may get them: its receivers refuse private ones, and penalize blocks without a
// usable one.
import { type DataHubUrlFault, dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';

/** Empty where it must not be announced. */
export interface OwnUrls {
  /** Where peers fetch our blocks and subtrees; they are not announced without it. */
  readonly dataHubUrl: string;
  /** Where we take transactions. */
  readonly propagationUrl: string;
}

export interface OwnUrlOptions {
  readonly dataHubUrl: string;
  readonly propagationUrl: string;
  /** `listen_mode` is full. */
  readonly isFull: boolean;
  readonly allowsPrivate: boolean;
}

/** `fault`: what is wrong with the DataHub URL of a node in full mode. */
export function ownUrls(options: OwnUrlOptions): {
  readonly urls: OwnUrls;
  readonly fault: DataHubUrlFault | undefined;
} {
  const { dataHubUrl, propagationUrl, isFull, allowsPrivate } = options;
  if (!isFull) return { urls: { dataHubUrl: '', propagationUrl: '' }, fault: undefined };
  const faultOf = dataHubUrlCheck({ allowsPrivate, blacklist: [] });
  const usable = (url: string) => (faultOf(url) === undefined ? url : '');
  return {
    urls: { dataHubUrl: usable(dataHubUrl), propagationUrl: usable(propagationUrl) },
    fault: faultOf(dataHubUrl),
  };
}
