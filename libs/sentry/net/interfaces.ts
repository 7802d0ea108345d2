import { EFAULT, EINVAL, ENODEV, ENOTTY, EPERM } from '../abi/errno.js';
import * as ioctls from '../abi/ioctl.js';
import { AF_INET, ARPHRD_LOOPBACK, IFF_LOOPBACK, IFF_LOWER_UP, IFF_RUNNING, IFF_UP } from '../abi/socket.js';
import type { GuestMemory } from '../mm/types.js';
import { LOOPBACK4 } from './inet/inet-address.js';
import { LOOPBACK_MTU } from './inet/inet-options.js';

/** The one device: `lo`, index 1. Without a network it is there but down and has no addresses, as in a fresh namespace. */
export const LOOPBACK_INDEX = 1;
export const LOOPBACK_NAME = 'lo';
export const LOOPBACK_TXQLEN = 1000;

export function loopbackFlags(up: boolean): number {
  return up ? IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP : IFF_LOOPBACK;
}

/** struct ifreq: 16 bytes of name, 24 of value. */
const IFREQ_SIZE = 40;
const NAME_SIZE = 16;

function writeName(view: DataView, at: number): void {
  for (let index = 0; index < NAME_SIZE; index++)
    view.setUint8(at + index, index < LOOPBACK_NAME.length ? LOOPBACK_NAME.charCodeAt(index) : 0);
}

function putAddress(view: DataView, at: number, host: number): void {
  view.setUint16(at, AF_INET, true);
  view.setUint16(at + 2, 0, true);
  view.setUint32(at + 4, host);
}

/** Answers of SIOCGIF*: fill the value at offset 16 of the request. */
const QUERIES: ReadonlyMap<number, (view: DataView, up: boolean) => void> = new Map([
  [ioctls.SIOCGIFFLAGS, (view: DataView, up: boolean) => view.setInt16(NAME_SIZE, loopbackFlags(up) & 0xffff, true)],
  [ioctls.SIOCGIFADDR, (view: DataView) => putAddress(view, NAME_SIZE, LOOPBACK4)],
  [ioctls.SIOCGIFDSTADDR, (view: DataView) => putAddress(view, NAME_SIZE, LOOPBACK4)],
  [ioctls.SIOCGIFBRDADDR, (view: DataView) => putAddress(view, NAME_SIZE, 0)],
  [ioctls.SIOCGIFNETMASK, (view: DataView) => putAddress(view, NAME_SIZE, 0xff000000)],
  [ioctls.SIOCGIFMETRIC, (view: DataView) => view.setInt32(NAME_SIZE, 0, true)],
  [ioctls.SIOCGIFMTU, (view: DataView) => view.setInt32(NAME_SIZE, LOOPBACK_MTU, true)],
  [ioctls.SIOCGIFINDEX, (view: DataView) => view.setInt32(NAME_SIZE, LOOPBACK_INDEX, true)],
  [ioctls.SIOCGIFTXQLEN, (view: DataView) => view.setInt32(NAME_SIZE, LOOPBACK_TXQLEN, true)],
  [
    ioctls.SIOCGIFHWADDR,
    (view: DataView) => {
      view.setUint16(NAME_SIZE, ARPHRD_LOOPBACK, true);
      for (let at = 2; at < 8; at++) view.setUint8(NAME_SIZE + at, 0);
    },
  ],
]);

/** Interface requests on any socket. `up`: whether there is a network. -ENOTTY for what is none of them. */
export function interfaceIoctl(request: number, argument: number, memory: GuestMemory, up: boolean): number {
  if (request === ioctls.SIOCGIFCONF) return listInterfaces(argument, memory, up);
  if (request === ioctls.SIOCGIFNAME) return interfaceName(argument, memory);
  const query = QUERIES.get(request);
  if (!query)
    return request >= ioctls.SIOC_FIRST && request <= ioctls.SIOC_LAST && request % 2 === 0 ? -EPERM : -ENOTTY;
  const given = memory.readStruct(argument, IFREQ_SIZE);
  if (!given) return -EFAULT;
  for (let index = 0; index <= LOOPBACK_NAME.length; index++)
    if (given.getUint8(index) !== (index < LOOPBACK_NAME.length ? LOOPBACK_NAME.charCodeAt(index) : 0)) return -ENODEV;
  const out = memory.scratch(IFREQ_SIZE);
  writeName(out, 0);
  query(out, up);
  return memory.writeStruct(argument, IFREQ_SIZE) ? 0 : -EFAULT;
}

function interfaceName(argument: number, memory: GuestMemory): number {
  const given = memory.readStruct(argument, IFREQ_SIZE);
  if (!given) return -EFAULT;
  if (given.getInt32(NAME_SIZE, true) !== LOOPBACK_INDEX) return -ENODEV;
  const out = memory.scratch(IFREQ_SIZE);
  writeName(out, 0);
  out.setInt32(NAME_SIZE, LOOPBACK_INDEX, true);
  return memory.writeStruct(argument, IFREQ_SIZE) ? 0 : -EFAULT;
}

/** struct ifconf: s32 length at 0, pointer at 8. */
function listInterfaces(argument: number, memory: GuestMemory, up: boolean): number {
  const length = memory.readI32(argument);
  const buffer = memory.readU64(argument + 8);
  if (Number.isNaN(length) || Number.isNaN(buffer)) return -EFAULT;
  if (length < 0) return -EINVAL;
  let written = 0;
  if (up && buffer === 0) written = IFREQ_SIZE;
  else if (up && length >= IFREQ_SIZE) {
    const out = memory.scratch(IFREQ_SIZE);
    writeName(out, 0);
    putAddress(out, NAME_SIZE, LOOPBACK4);
    if (!memory.writeStruct(buffer, IFREQ_SIZE)) return -EFAULT;
    written = IFREQ_SIZE;
  }
  return memory.writeU32(argument, written) ? 0 : -EFAULT;
}
