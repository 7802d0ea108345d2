import { EADDRINUSE } from '../../abi/errno.js';
import { ANY4, ANY6, type Host, isAny, isIpv4 } from './inet-address.js';

/** net.ipv4.ip_local_port_range. */
export const EPHEMERAL_FIRST = 32768;
export const EPHEMERAL_LAST = 60999;

/** Who holds a port. */
export interface PortHolder {
  readonly localHost: Host;
  readonly v6Only: boolean;
  readonly reuseAddress: boolean;
  readonly reusePort: boolean;
  /** Owner: SO_REUSEPORT shares only within one user. */
  readonly uid: number;
  /** TCP: SO_REUSEADDR does not let anybody in beside a listener. */
  readonly listening: boolean;
  /** Takes part in lookups (TCP: listens; UDP: always). */
  readonly receives: boolean;
}

/** Ports of one protocol. */
export class PortTable<Holder extends PortHolder> {
  private readonly holders = new Map<number, Holder[]>();
  private nextEphemeral = EPHEMERAL_FIRST;

  /** `exclusive`: what SO_REUSEADDR means for TCP (a listener shares with nobody). */
  constructor(private readonly exclusive: boolean) {}

  /** Gives `port` (0: a free one) on the holder's host. The port, or -EADDRINUSE. */
  bind(holder: Holder, port: number): number {
    if (port === 0) return this.bindEphemeral(holder);
    const others = this.holders.get(port);
    if (!others) {
      this.holders.set(port, [holder]);
      return port;
    }
    for (const other of others) if (this.conflicts(holder, other)) return -EADDRINUSE;
    others.push(holder);
    return port;
  }

  private bindEphemeral(holder: Holder): number {
    const span = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
    for (let tries = 0; tries < span; tries++) {
      const port = this.nextEphemeral;
      this.nextEphemeral = port === EPHEMERAL_LAST ? EPHEMERAL_FIRST : port + 1;
      if (this.holders.has(port)) continue;
      this.holders.set(port, [holder]);
      return port;
    }
    return -EADDRINUSE;
  }

  release(holder: Holder, port: number): void {
    const others = this.holders.get(port);
    if (!others) return;
    const at = others.indexOf(holder);
    if (at >= 0) others.splice(at, 1);
    if (others.length === 0) this.holders.delete(port);
  }

  /** Whether `holder` may start to listen beside the others on its port (0 or -EADDRINUSE). */
  mayListen(holder: Holder, port: number): number {
    for (const other of this.holders.get(port) ?? [])
      if (other !== holder && other.listening && overlap(holder, other) && !sharePort(holder, other))
        return -EADDRINUSE;
    return 0;
  }

  /**
   * Who receives what goes to (host, port): the most exact binding. Among equals (SO_REUSEPORT) the sender's address decides, so that
   * what comes from one place keeps going to one (socket(7)).
   */
  find(host: Host, port: number, source: Host, sourcePort: number): Holder | null {
    const others = this.holders.get(port);
    if (!others) return null;
    let best: Holder | null = null;
    let bestScore = 0;
    let equals = 0;
    for (const other of others) {
      if (!other.receives) continue;
      const score = matchScore(other, host);
      if (score === 0 || score < bestScore) continue;
      if (score > bestScore) {
        best = other;
        bestScore = score;
        equals = 1;
      } else if (other.reusePort) equals++;
      // Without SO_REUSEPORT the youngest wins (UDP with SO_REUSEADDR).
      else best = other;
    }
    if (equals < 2 || !best?.reusePort) return best;
    let pick = Math.floor((flowHash(host, port, source, sourcePort) * equals) / 2 ** 32);
    for (const other of others)
      if (other.receives && matchScore(other, host) === bestScore && pick-- === 0) return other;
    return best;
  }

  /** For /proc/net. */
  visit(each: (holder: Holder, port: number) => void): void {
    for (const [port, holders] of this.holders) for (const holder of holders) each(holder, port);
  }

  private conflicts(one: Holder, other: Holder): boolean {
    if (!overlap(one, other)) return false;
    if (sharePort(one, other)) return false;
    if (one.reuseAddress && other.reuseAddress) return this.exclusive && (one.listening || other.listening);
    return true;
  }
}

/** A hash of 32 bits (the finalizer of MurmurHash3 over all four). */
function flowHash(host: Host, port: number, source: Host, sourcePort: number): number {
  let hash = 0;
  for (const part of [host, port, source, sourcePort]) {
    hash = Math.imul((hash ^ part) >>> 0, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

function sharePort(one: PortHolder, other: PortHolder): boolean {
  return one.reusePort && other.reusePort && one.uid === other.uid;
}

/** Whether something could be addressed to both. */
function overlap(one: PortHolder, other: PortHolder): boolean {
  const [a, b] = [one.localHost, other.localHost];
  if (a === b) return true;
  if (a === ANY6) return isIpv4(b) ? !one.v6Only : true;
  if (b === ANY6) return isIpv4(a) ? !other.v6Only : true;
  if (a === ANY4) return isIpv4(b);
  if (b === ANY4) return isIpv4(a);
  return false;
}

function matchScore(holder: PortHolder, host: Host): number {
  const own = holder.localHost;
  if (own === host) return 3;
  if (!isAny(own)) return 0;
  if (own === ANY4) return isIpv4(host) ? 2 : 0;
  return isIpv4(host) ? (holder.v6Only ? 0 : 1) : 2;
}
