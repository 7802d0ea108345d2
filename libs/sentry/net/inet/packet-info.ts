import { EINVAL } from '../../abi/errno.js';
import * as abi from '../../abi/socket.js';
import type { PacketFields } from '../ancillary.js';
import type { ControlMessage } from '../socket.js';
import { type Host, isIpv4, LOOPBACK6 } from './inet-address.js';
import type { InetOptions } from './inet-options.js';

/** What the IP header of a datagram told its receiver. */
export interface PacketInfo extends PacketFields {
  readonly destination: Host;
}

/** Index of `lo`. */
const LOOPBACK_INDEX = 1;
const DEFAULT_HOPS = 64;

/** The header of a datagram to `destination`: what the call says, else what the socket's options say. */
export function packetInfo(destination: Host, options: InetOptions, given: PacketFields | null): PacketInfo {
  const v4 = isIpv4(destination);
  const hops = v4 ? options.get(abi.SOL_IP, abi.IP_TTL) : options.get(abi.SOL_IPV6, abi.IPV6_UNICAST_HOPS);
  const trafficClass = v4 ? options.get(abi.SOL_IP, abi.IP_TOS) : options.get(abi.SOL_IPV6, abi.IPV6_TCLASS);
  return {
    hops: orDefault(given?.hops ?? -1, orDefault(hops, DEFAULT_HOPS)),
    trafficClass: orDefault(given?.trafficClass ?? -1, orDefault(trafficClass, 0)),
    destination,
  };
}

const orDefault = (value: number, otherwise: number): number => (value < 0 ? otherwise : value);

/** The control messages that the receiver's options ask for (ip(7), ipv6(7)), in Linux's order; null: none. */
export function packetControl(info: PacketInfo, family: number, options: InetOptions): ControlMessage[] | null {
  const messages: ControlMessage[] = [];
  const wants = (level: number, name: number): boolean => options.get(level, name) !== 0;
  if (family === abi.AF_INET6) {
    if (wants(abi.SOL_IPV6, abi.IPV6_RECVPKTINFO)) messages.push(destination6(info.destination));
    if (!isIpv4(info.destination)) {
      if (wants(abi.SOL_IPV6, abi.IPV6_RECVHOPLIMIT)) {
        messages.push(integer(abi.SOL_IPV6, abi.IPV6_HOPLIMIT, info.hops));
      }
      if (wants(abi.SOL_IPV6, abi.IPV6_RECVTCLASS)) {
        messages.push(integer(abi.SOL_IPV6, abi.IPV6_TCLASS, info.trafficClass));
      }
    }
  }
  if (isIpv4(info.destination)) {
    if (wants(abi.SOL_IP, abi.IP_PKTINFO)) messages.push(destination4(info.destination));
    if (wants(abi.SOL_IP, abi.IP_RECVTTL)) messages.push(integer(abi.SOL_IP, abi.IP_TTL, info.hops));
    if (wants(abi.SOL_IP, abi.IP_RECVTOS)) {
      messages.push({ level: abi.SOL_IP, type: abi.IP_TOS, bytes: Uint8Array.of(info.trafficClass) });
    }
  }
  return messages.length > 0 ? messages : null;
}

function integer(level: number, type: number, value: number): ControlMessage {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return { level, type, bytes };
}

/** struct in_pktinfo: index, local address, destination. */
function destination4(host: Host): ControlMessage {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, LOOPBACK_INDEX, true);
  view.setUint32(4, host);
  view.setUint32(8, host);
  return { level: abi.SOL_IP, type: abi.IP_PKTINFO, bytes };
}

/** struct in6_pktinfo: destination, index. */
function destination6(host: Host): ControlMessage {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  if (isIpv4(host)) {
    view.setUint16(10, 0xffff);
    view.setUint32(12, host);
  } else if (host === LOOPBACK6) bytes[15] = 1;
  view.setInt32(16, LOOPBACK_INDEX, true);
  return { level: abi.SOL_IPV6, type: abi.IPV6_PKTINFO, bytes };
}

/**
 * Reads one control message of a send into `fields`: 0, or -EINVAL for what is malformed or unknown. The addresses of
 * *_PKTINFO are taken and change nothing: there is one interface.
 */
export function readPacketField(
  level: number,
  type: number,
  value: DataView,
  fields: { hops: number; trafficClass: number },
): number {
  const number = value.byteLength === 4 ? value.getInt32(0, true) : Number.NaN;
  if (level === abi.SOL_IP) {
    if (type === abi.IP_PKTINFO) return value.byteLength === 12 ? 0 : -EINVAL;
    if (type === abi.IP_TTL && number >= 1 && number <= 255) fields.hops = number;
    else if (type === abi.IP_TOS && value.byteLength === 1) fields.trafficClass = value.getUint8(0);
    else if (type === abi.IP_TOS && number >= 0 && number <= 255) fields.trafficClass = number;
    else return -EINVAL;
    return 0;
  }
  if (type === abi.IPV6_PKTINFO) return value.byteLength >= 20 ? 0 : -EINVAL;
  if (!(number >= -1 && number <= 255)) return -EINVAL;
  if (type === abi.IPV6_HOPLIMIT) fields.hops = number;
  else if (type === abi.IPV6_TCLASS) fields.trafficClass = number;
  else return -EINVAL;
  return 0;
}
