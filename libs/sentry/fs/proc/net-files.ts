import { AF_INET, AF_INET6 } from '../../abi/socket.js';
import type { Kernel } from '../../kernel/kernel.js';
import { StaticDirectory, SyntheticFile, type SyntheticFileSystem } from '../synthetic/file-system.js';
import { socketCounts, tcpLines, udpLines, unixLines } from './socket-tables.js';

const INET_HEADER =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n';
const INET6_HEADER =
  '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const UDP_HEADER =
  '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n';
const UDP6_HEADER =
  '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n';
const DEV_HEADER =
  'Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n';

/** /proc/net: the loopback interface, and the sockets that are open. */
export function netDirectory(fileSystem: SyntheticFileSystem, kernel: Kernel): StaticDirectory {
  const directory = new StaticDirectory(fileSystem);
  const up = (): boolean => kernel.network !== 'none';
  const files: Readonly<Record<string, () => string>> = {
    dev: () =>
      `${DEV_HEADER}    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n`,
    if_inet6: () => (up() ? '00000000000000000000000000000001 01 80 10 80       lo\n' : ''),
    route: () =>
      `${'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT'.padEnd(127)}\n`,
    ipv6_route: () =>
      up()
        ? '00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000001 00000000 80200001       lo\n'
        : '',
    tcp: () => INET_HEADER + tcpLines(kernel, AF_INET),
    tcp6: () => INET6_HEADER + tcpLines(kernel, AF_INET6),
    udp: () => UDP_HEADER + udpLines(kernel, AF_INET),
    udp6: () => UDP6_HEADER + udpLines(kernel, AF_INET6),
    udplite: () => UDP_HEADER + udpLines(kernel, AF_INET, true),
    udplite6: () => UDP6_HEADER + udpLines(kernel, AF_INET6, true),
    raw: () => INET_HEADER,
    unix: () => `Num               RefCount Protocol Flags    Type St Inode Path\n${unixLines(kernel)}`,
    netlink: () => 'sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n',
    arp: () => 'IP address       HW type     Flags       HW address            Mask     Device\n',
    protocols: () =>
      'protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\n',
    sockstat: () => socketCounts(kernel),
  };
  for (const [name, generate] of Object.entries(files)) directory.add(name, new SyntheticFile(fileSystem, generate));
  return directory;
}
