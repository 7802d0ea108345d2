import { EAFNOSUPPORT, EINVAL } from '../../abi/errno.js';
import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  SOCKADDR_IN_SIZE,
  SOCKADDR_IN6_MIN_SIZE,
  SOCKADDR_IN6_SIZE,
} from '../../abi/socket.js';
import type { SocketAddress } from '../socket.js';

/**
 * An IP address as a number: IPv4 as its 32 bits (also what an IPv6 socket writes as ::ffff:a.b.c.d), and the few IPv6
 * addresses that mean something inside a sandbox. Everything else in IPv6 is `OTHER6`: nobody has it.
 */
export type Host = number;
export const ANY4: Host = 0;
export const LOOPBACK4: Host = 0x7f000001;
export const BROADCAST4: Host = 0xffffffff;
export const ANY6: Host = -1;
export const LOOPBACK6: Host = -2;
export const OTHER6: Host = -3;

export const isIpv4 = (host: Host): boolean => host >= 0;
export const isAny = (host: Host): boolean => host === ANY4 || host === ANY6;
/** 127.0.0.0/8 and ::1: what the loopback device has. */
export const isLocal = (host: Host): boolean => host === LOOPBACK6 || (host >= 0 && host >>> 24 === 127);
export const isMulticast4 = (host: Host): boolean => host >= 0 && host >>> 28 === 0xe;

/** A parsed address; reused. */
export class Endpoint {
  host: Host = ANY4;
  port = 0;

  set(host: Host, port: number): void {
    this.host = host;
    this.port = port;
  }
}

/**
 * Parses sockaddr_in or sockaddr_in6 for a socket of `family`. -EINVAL when too short, -EAFNOSUPPORT for another family
 * (AF_UNSPEC with any address is taken as IPv4 any, as Linux does for bind on AF_INET).
 */
export function parseInetAddress(address: SocketAddress, family: number, out: Endpoint): number {
  const { view } = address;
  if (family === AF_INET) {
    if (address.length < SOCKADDR_IN_SIZE) return -EINVAL;
    if (address.family !== AF_INET && !(address.family === AF_UNSPEC && view.getUint32(4) === 0)) return -EAFNOSUPPORT;
    out.set(view.getUint32(4), view.getUint16(2));
    return 0;
  }
  if (address.family === AF_INET && address.length >= SOCKADDR_IN_SIZE) {
    // UDP over IPv6 takes plain IPv4 destinations too.
    out.set(view.getUint32(4), view.getUint16(2));
    return 0;
  }
  if (address.length < SOCKADDR_IN6_MIN_SIZE) return -EINVAL;
  if (address.family !== AF_INET6) return -EAFNOSUPPORT;
  out.set(parseHost6(view, 8), view.getUint16(2));
  return 0;
}

function parseHost6(view: DataView, at: number): Host {
  const a = view.getUint32(at);
  const b = view.getUint32(at + 4);
  const c = view.getUint32(at + 8);
  const d = view.getUint32(at + 12);
  if (a !== 0 || b !== 0) return OTHER6;
  if (c === 0xffff) return d;
  if (c !== 0) return OTHER6;
  if (d === 0) return ANY6;
  return d === 1 ? LOOPBACK6 : OTHER6;
}

/** Writes an address for a socket of `family`: IPv4 hosts appear mapped to IPv6 sockets. */
export function putInetAddress(out: SocketAddress, family: number, host: Host, port: number): number {
  const { view, bytes } = out;
  view.setUint16(0, family, true);
  view.setUint16(2, port);
  if (family === AF_INET) {
    view.setUint32(4, host < 0 ? 0 : host);
    bytes.fill(0, 8, SOCKADDR_IN_SIZE);
    out.length = SOCKADDR_IN_SIZE;
    return 0;
  }
  bytes.fill(0, 4, SOCKADDR_IN6_SIZE);
  if (host >= 0) {
    view.setUint16(18, 0xffff);
    view.setUint32(20, host);
  } else if (host === LOOPBACK6) bytes[23] = 1;
  out.length = SOCKADDR_IN6_SIZE;
  return 0;
}
