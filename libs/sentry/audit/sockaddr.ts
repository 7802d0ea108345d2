import { quote } from './text.js';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;

/** A socket address as strace shows it. Short ones show what is there. */
export function renderSockaddr(bytes: Uint8Array): string {
  if (bytes.length < 2) return quote(bytes);
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = data.getUint16(0, true);
  if (family === AF_UNIX) return unix(bytes);
  if (family === AF_INET && bytes.length >= 8) {
    const host = `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`;
    return `{sa_family=AF_INET, sin_port=htons(${data.getUint16(2)}), sin_addr=inet_addr("${host}")}`;
  }
  if (family === AF_INET6 && bytes.length >= 24) {
    const flow = data.getUint32(4);
    const scope = bytes.length >= 28 ? data.getUint32(24, true) : 0;
    return `{sa_family=AF_INET6, sin6_port=htons(${data.getUint16(2)}), sin6_flowinfo=htonl(${flow}), inet_pton(AF_INET6, "${ipv6(data, 8)}", &sin6_addr), sin6_scope_id=${scope}}`;
  }
  if (family === AF_NETLINK && bytes.length >= 12) {
    return `{sa_family=AF_NETLINK, nl_pid=${data.getUint32(4, true)}, nl_groups=${data.getUint32(8, true).toString(16).padStart(8, '0')}}`;
  }
  if (family === 0) return `{sa_family=AF_UNSPEC, sa_data=${quote(bytes.subarray(2))}}`;
  return `{sa_family=${family}, sa_data=${quote(bytes.subarray(2))}}`;
}

function unix(bytes: Uint8Array): string {
  if (bytes.length === 2) return '{sa_family=AF_UNIX}';
  if (bytes[2] === 0) return `{sa_family=AF_UNIX, sun_path=@${quote(bytes.subarray(3))}}`;
  let end = 2;
  while (end < bytes.length && bytes[end] !== 0) end++;
  return `{sa_family=AF_UNIX, sun_path=${quote(bytes.subarray(2, end))}}`;
}

/** RFC 5952: the longest run of zero groups becomes `::`. */
function ipv6(data: DataView, offset: number): string {
  const groups: number[] = [];
  for (let index = 0; index < 8; index++) groups.push(data.getUint16(offset + index * 2));
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped) return `::ffff:${[12, 13, 14, 15].map((at) => data.getUint8(offset + at)).join('.')}`;
  let best = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > bestLength) {
      best = start;
      bestLength = length;
    }
  }
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  if (best < 0) return text(groups);
  return `${text(groups.slice(0, best))}::${text(groups.slice(best + bestLength))}`;
}
