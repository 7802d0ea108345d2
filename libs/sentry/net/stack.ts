import { EADDRNOTAVAIL } from '../abi/errno.js';
import { ANY4, ANY6, type Host, isLocal, LOOPBACK4, LOOPBACK6 } from './inet/inet-address.js';
import { PortTable } from './inet/ports.js';
import type { TcpSocket } from './inet/tcp.js';
import type { UdpSocket } from './inet/udp.js';
import { UnixNames } from './unix/unix-names.js';

/** The network of one sandbox: its mode, who holds which port, who is bound to which unix name. */
export class NetworkStack {
  readonly tcp = new PortTable<TcpSocket>(true);
  readonly udp = new PortTable<UdpSocket>(false);
  readonly udpLite = new PortTable<UdpSocket>(false);
  readonly unix = new UnixNames();
  /** Every open TCP and UDP socket, for /proc/net. */
  readonly sockets = new Set<TcpSocket | UdpSocket>();

  private readonly netlinkPorts = new Set<number>();

  constructor(readonly mode: 'none' | 'loopback') {}

  /** A port id for a netlink socket: the process's pid if free, as Linux. */
  netlinkPort(pid: number): number {
    let port = pid;
    while (this.netlinkPorts.has(port)) port = port === pid ? 0xfffff000 : port - 1;
    this.netlinkPorts.add(port);
    return port;
  }

  releaseNetlinkPort(port: number): void {
    this.netlinkPorts.delete(port);
  }

  /** Whether `host` may be bound: 0, or -EADDRNOTAVAIL. */
  bindable(host: Host): number {
    if (host === ANY4 || host === ANY6) return 0;
    return this.mode === 'loopback' && isLocal(host) ? 0 : -EADDRNOTAVAIL;
  }

  /** Where a packet to `host` goes (the wildcards mean this host), or -ENETUNREACH as a number below OTHER6. */
  route(host: Host): Host {
    if (this.mode === 'none') return UNREACHABLE;
    if (host === ANY4) return LOOPBACK4;
    if (host === ANY6) return LOOPBACK6;
    return isLocal(host) ? host : UNREACHABLE;
  }
}

/** `route`'s answer for what cannot be reached; the caller answers -ENETUNREACH. */
export const UNREACHABLE: Host = -1000;

/** The source address of what goes to a local host. */
export function sourceFor(destination: Host): Host {
  return destination === LOOPBACK6 ? LOOPBACK6 : LOOPBACK4;
}
