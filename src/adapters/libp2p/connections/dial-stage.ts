// How far a dial got, which tells a wrong shared key (`p2p_shared_key`) from other failures. With different keys each
// side reads noise from the first byte after the nonces, so that they never agree on a security protocol; with the same
// key they do. js-libp2p's errors do not say, its progress events do, with two of ours between them.
import type { ConnectionEncrypter, ConnectionProtector } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { LRUCache } from 'lru-cache';

type Stage = 'connecting' | 'exchanging nonces' | 'negotiating security' | 'securing';

/** Progress event -> what begins with it. */
const BEGINS: Readonly<Record<string, Stage>> = {
  'dial-queue:add-to-dial-queue': 'connecting',
  'tcp:open-connection': 'connecting',
  'teranode:exchange-nonces': 'exchanging nonces',
  'upgrader:encrypt-outbound-connection': 'negotiating security',
  'teranode:secure': 'securing',
};

interface Progressing {
  onProgress?: (event: CustomEvent & { type: never }) => void;
}

/** As many as the dialer has targets. */
const MAX_ADDRESSES = 1000;

/** Of dials to one address, of which libp2p runs one at a time: its `onProgress` goes into the options of libp2p's dial. Of several addresses the last one counts. */
export class DialStage {
  readonly hasSharedKey: boolean;
  private current: Stage = 'connecting';

  constructor(hasSharedKey: boolean) {
    this.hasSharedKey = hasSharedKey;
  }

  readonly onProgress = ({ type }: { readonly type: string }): void => {
    this.current = BEGINS[type] ?? this.current;
  };

  get stage(): Stage {
    return this.current;
  }
}

/** By address: a dial that joins one that is under way hears no earlier events of it. */
export class DialStages {
  private readonly hasSharedKey: boolean;
  private readonly byAddress = new LRUCache<string, DialStage>({ max: MAX_ADDRESSES });

  constructor(hasSharedKey: boolean) {
    this.hasSharedKey = hasSharedKey;
  }

  of(address: Multiaddr): DialStage {
    const key = address.toString();
    const known = this.byAddress.get(key) ?? new DialStage(this.hasSharedKey);
    this.byAddress.set(key, known);
    return known;
  }
}

/** The encrypter, reporting to the dial that it begins. */
export function reportingEncrypter<C>(
  create: (components: C) => ConnectionEncrypter,
): (components: C) => ConnectionEncrypter {
  return (components) => {
    const encrypter = create(components);
    const secureOutbound = encrypter.secureOutbound.bind(encrypter);
    encrypter.secureOutbound = async (...args: Parameters<typeof secureOutbound>) => {
      report(args[1], 'teranode:secure');
      return await secureOutbound(...args);
    };
    return encrypter;
  };
}

/** The protector of a private network, reporting to the dial that it begins. */
export function reportingProtector(create: () => ConnectionProtector): () => ConnectionProtector {
  return () => {
    const protector = create();
    const protect = protector.protect.bind(protector);
    protector.protect = async (...args: Parameters<typeof protect>) => {
      report(args[1], 'teranode:exchange-nonces');
      return await protect(...args);
    };
    return protector;
  };
}

function report(options: object | undefined, type: string): void {
  const { onProgress } = (options ?? {}) as Progressing;
  onProgress?.(new CustomEvent(type) as Parameters<NonNullable<typeof onProgress>>[0]);
}
