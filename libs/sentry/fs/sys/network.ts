import { EINVAL } from '../../abi/errno.js';
import { ARPHRD_LOOPBACK, IFF_LOOPBACK, IFF_UP } from '../../abi/socket.js';
import type { Kernel } from '../../kernel/kernel.js';
import { LOOPBACK_MTU } from '../../net/inet/inet-options.js';
import { LOOPBACK_INDEX, LOOPBACK_NAME, LOOPBACK_TXQLEN } from '../../net/interfaces.js';
import type { SysFiles } from './sys.js';

/** Files that exist but have nothing to say, such as the speed of a loopback device. */
const NO_VALUE = (): number => -EINVAL;

const isUp = (kernel: Kernel): boolean => kernel.network !== 'none';

/** Counters of a device that keeps none: packets inside the sandbox are never formed. */
const COUNTERS = [
  'collisions',
  'multicast',
  ...['bytes', 'packets', 'errors', 'dropped', 'compressed', 'fifo_errors'].flatMap((name) => [
    `rx_${name}`,
    `tx_${name}`,
  ]),
  'rx_crc_errors',
  'rx_frame_errors',
  'rx_length_errors',
  'rx_missed_errors',
  'rx_nohandler',
  'rx_over_errors',
  'tx_aborted_errors',
  'tx_carrier_errors',
  'tx_heartbeat_errors',
  'tx_window_errors',
];

export const NETWORK_DEVICE = `devices/virtual/net/${LOOPBACK_NAME}`;

/** /sys/class/net/lo, as the ioctls and netlink tell of it (Linux's sysfs-class-net). */
export function networkFiles(): SysFiles {
  const attributes: SysFiles = {
    address: () => '00:00:00:00:00:00\n',
    addr_assign_type: () => '0\n',
    addr_len: () => '6\n',
    broadcast: () => '00:00:00:00:00:00\n',
    // Neither is known of a device that is down.
    carrier: (kernel) => (isUp(kernel) ? '1\n' : NO_VALUE()),
    carrier_changes: () => '0\n',
    dev_id: () => '0x0\n',
    dev_port: () => '0\n',
    dormant: (kernel) => (isUp(kernel) ? '0\n' : NO_VALUE()),
    duplex: NO_VALUE,
    flags: (kernel) => `0x${(isUp(kernel) ? IFF_LOOPBACK | IFF_UP : IFF_LOOPBACK).toString(16)}\n`,
    gro_flush_timeout: () => '0\n',
    ifalias: () => '\n',
    ifindex: () => `${LOOPBACK_INDEX}\n`,
    iflink: () => `${LOOPBACK_INDEX}\n`,
    link_mode: () => '0\n',
    mtu: () => `${LOOPBACK_MTU}\n`,
    netdev_group: () => '0\n',
    operstate: (kernel) => (isUp(kernel) ? 'unknown\n' : 'down\n'),
    proto_down: () => '0\n',
    speed: NO_VALUE,
    tx_queue_len: () => `${LOOPBACK_TXQLEN}\n`,
    type: () => `${ARPHRD_LOOPBACK}\n`,
    uevent: () => `INTERFACE=${LOOPBACK_NAME}\nIFINDEX=${LOOPBACK_INDEX}\n`,
  };
  const files: SysFiles = {};
  for (const [name, generate] of Object.entries(attributes)) files[`${NETWORK_DEVICE}/${name}`] = generate;
  for (const name of COUNTERS) files[`${NETWORK_DEVICE}/statistics/${name}`] = () => '0\n';
  return files;
}
