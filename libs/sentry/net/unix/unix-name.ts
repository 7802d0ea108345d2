import { EINVAL } from '../../abi/errno.js';
import { AF_UNIX, SOCKADDR_UN_SIZE } from '../../abi/socket.js';
import type { SocketAddress } from '../socket.js';

/**
 * A unix socket's name as a byte string: "" unnamed, "\0name" abstract, anything else a path.
 * -EINVAL for a malformed address.
 */
export function parseUnixAddress(address: SocketAddress): string | number {
  if (address.length < 2 || address.length > SOCKADDR_UN_SIZE || address.family !== AF_UNIX) return -EINVAL;
  if (address.length === 2) return '';
  const { bytes } = address;
  let end = address.length;
  // A path ends at its first NUL; an abstract name is all of its bytes.
  if (bytes[2] !== 0) for (end = 2; end < address.length && bytes[end] !== 0; ) end++;
  let name = '';
  for (let at = 2; at < end; at++) name += String.fromCharCode(bytes[at]);
  return name;
}

export function putUnixAddress(out: SocketAddress, name: string): number {
  out.view.setUint16(0, AF_UNIX, true);
  for (let at = 0; at < name.length; at++) out.bytes[2 + at] = name.charCodeAt(at);
  out.length = 2 + name.length;
  if (name !== '' && name.charCodeAt(0) !== 0) out.bytes[out.length++] = 0;
  return 0;
}
