import { ETOOMANYREFS } from '../abi/errno.js';
import type { FileDescription } from '../vfs/types.js';

/** Who sent, as SCM_CREDENTIALS and SO_PEERCRED tell it. */
export interface SocketCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}
export const NO_CREDENTIALS: SocketCredentials = { pid: 0, uid: 65534, gid: 65534 };

/**
 * Descriptions in flight, in the whole sandbox. Linux limits them per user by RLIMIT_NOFILE and collects cycles of
 * sockets that hold each other; here the bound alone keeps what a cycle can hold small, and the sandbox's end frees it.
 */
export const MAX_IN_FLIGHT = 16384;
let inFlight = 0;

export function descriptionsInFlight(): number {
  return inFlight;
}

/** Fields of the IP header that a send gives for its datagram (IP_TTL, IPV6_HOPLIMIT …); -1 = as the socket's options say. */
export interface PacketFields {
  readonly hops: number;
  readonly trafficClass: number;
}

/** Control data of one message. Owns one reference of each description until `deliver` or `discard`. */
export class Ancillary {
  constructor(
    public rights: FileDescription[] | null,
    readonly credentials: SocketCredentials | null,
    readonly packet: PacketFields | null = null,
  ) {}

  /** Counts the rights as in flight; -ETOOMANYREFS at the limit. */
  launch(): number {
    if (!this.rights) return 0;
    if (inFlight + this.rights.length > MAX_IN_FLIGHT) return -ETOOMANYREFS;
    inFlight += this.rights.length;
    return 0;
  }

  /** Hands the descriptions (and their references) to the receiver. */
  land(): FileDescription[] | null {
    const { rights } = this;
    if (rights) inFlight -= rights.length;
    this.rights = null;
    return rights;
  }

  /** For MSG_PEEK: the descriptions with a reference more, the message keeps its own. */
  copyRights(): FileDescription[] | null {
    if (!this.rights) return null;
    for (const file of this.rights) file.retain();
    return this.rights.slice();
  }

  /** The message is lost with what it carried. */
  discard(): void {
    const rights = this.land();
    if (rights) for (const file of rights) file.release();
  }
}
