import { EINVAL, ENOPROTOOPT, EOPNOTSUPP } from '../../abi/errno.js';
import * as abi from '../../abi/socket.js';
import { putInt } from '../socket.js';

/**
 * Options of IP, IPv6 and TCP that are only kept and reported: there is no wire under a loopback. `[initial, least,
 * greatest]`; values outside answer -EINVAL, as Linux does.
 */
type Range = readonly [initial: number, least: number, greatest: number];
const FLAG: Range = [0, -0x80000000, 0x7fffffff];

const IP_OPTIONS_KEPT: ReadonlyMap<number, Range> = new Map<number, Range>([
  [abi.IP_TOS, [0, 0, 255]],
  [abi.IP_TTL, [64, -1, 255]],
  [abi.IP_PKTINFO, FLAG],
  [abi.IP_MTU_DISCOVER, [1, 0, 5]],
  [abi.IP_RECVERR, FLAG],
  [abi.IP_RECVTTL, FLAG],
  [abi.IP_RECVTOS, FLAG],
  [abi.IP_FREEBIND, FLAG],
  [abi.IP_BIND_ADDRESS_NO_PORT, FLAG],
  [abi.IP_MULTICAST_TTL, [1, -1, 255]],
  [abi.IP_MULTICAST_LOOP, [1, 0, 1]],
  [abi.IP_LOCAL_PORT_RANGE, [0, -0x80000000, 0x7fffffff]],
]);

const IPV6_OPTIONS_KEPT: ReadonlyMap<number, Range> = new Map<number, Range>([
  [abi.IPV6_UNICAST_HOPS, [64, -1, 255]],
  [abi.IPV6_MULTICAST_HOPS, [1, -1, 255]],
  [abi.IPV6_MULTICAST_LOOP, [1, 0, 1]],
  [abi.IPV6_MTU_DISCOVER, [1, 0, 5]],
  [abi.IPV6_RECVERR, FLAG],
  [abi.IPV6_V6ONLY, FLAG],
  [abi.IPV6_RECVPKTINFO, FLAG],
  [abi.IPV6_RECVHOPLIMIT, FLAG],
  [abi.IPV6_RECVTCLASS, FLAG],
  [abi.IPV6_TCLASS, [0, -1, 255]],
  [abi.IPV6_DONTFRAG, FLAG],
]);

const TCP_OPTIONS_KEPT: ReadonlyMap<number, Range> = new Map<number, Range>([
  [abi.TCP_NODELAY, FLAG],
  [abi.TCP_MAXSEG, [65483, 0, 32767]],
  [abi.TCP_CORK, FLAG],
  [abi.TCP_KEEPIDLE, [7200, 1, 32767]],
  [abi.TCP_KEEPINTVL, [75, 1, 32767]],
  [abi.TCP_KEEPCNT, [9, 1, 127]],
  [abi.TCP_SYNCNT, [6, 1, 127]],
  [abi.TCP_LINGER2, [60, -1, 120]],
  [abi.TCP_DEFER_ACCEPT, [0, 0, 0x7fffffff]],
  [abi.TCP_WINDOW_CLAMP, [0, 0, 0x7fffffff]],
  [abi.TCP_QUICKACK, [1, -0x80000000, 0x7fffffff]],
  [abi.TCP_USER_TIMEOUT, [0, 0, 0x7fffffff]],
  [abi.TCP_NOTSENT_LOWAT, [0, -0x80000000, 0x7fffffff]],
  [abi.TCP_INQ, [0, 0, 1]],
]);

const UDPLITE_OPTIONS_KEPT: ReadonlyMap<number, Range> = new Map<number, Range>([
  [abi.UDPLITE_SEND_CSCOV, [0, -0x80000000, 0x7fffffff]],
  [abi.UDPLITE_RECV_CSCOV, [0, -0x80000000, 0x7fffffff]],
]);

const LEVELS: ReadonlyMap<number, ReadonlyMap<number, Range>> = new Map([
  [abi.SOL_IP, IP_OPTIONS_KEPT],
  [abi.SOL_IPV6, IPV6_OPTIONS_KEPT],
  [abi.SOL_TCP, TCP_OPTIONS_KEPT],
  [abi.SOL_UDPLITE, UDPLITE_OPTIONS_KEPT],
]);

/** Loopback's MTU. */
export const LOOPBACK_MTU = 65536;

/** The kept options of one socket. */
export class InetOptions {
  private values: Map<number, number> | null = null;

  get(level: number, name: number): number {
    return this.values?.get(level * 1000 + name) ?? LEVELS.get(level)?.get(name)?.[0] ?? 0;
  }

  /** `levels` that apply to this socket. IPPROTO_IP options also work on IPv6 sockets, as in Linux. */
  set(level: number, name: number, value: DataView, length: number): number {
    const range = LEVELS.get(level)?.get(name);
    if (!range) return refusal(level, name);
    // IP takes single bytes for small options.
    if (length < 1 || (length < 4 && level !== abi.SOL_IP)) return -EINVAL;
    const number = length >= 4 ? value.getInt32(0, true) : value.getUint8(0);
    if (number < range[1] || number > range[2]) return -EINVAL;
    this.values ??= new Map();
    this.values.set(level * 1000 + name, range === FLAG ? Number(number !== 0) : number);
    return 0;
  }

  put(level: number, name: number, out: DataView): number {
    if (level === abi.SOL_TCP && name === abi.TCP_CONGESTION) return putText(out, 'cubic');
    if ((level === abi.SOL_IP && name === abi.IP_MTU) || (level === abi.SOL_IPV6 && name === abi.IPV6_MTU))
      return putInt(out, LOOPBACK_MTU);
    if (!LEVELS.get(level)?.has(name)) return -ENOPROTOOPT;
    return putInt(out, this.get(level, name));
  }
}

function putText(out: DataView, text: string): number {
  for (let index = 0; index < 16; index++) out.setUint8(index, index < text.length ? text.charCodeAt(index) : 0);
  return 16;
}

/** Options that Linux knows and a loopback has no use for. */
function refusal(level: number, name: number): number {
  if (level === abi.SOL_TCP && name === abi.TCP_CONGESTION) return 0;
  if (level === abi.SOL_TCP && name === abi.TCP_FASTOPEN) return -EOPNOTSUPP;
  return -ENOPROTOOPT;
}
