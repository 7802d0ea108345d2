import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';

/**
 * Addresses that are not on the public internet: a webhook must not be a way into the operator's network or to a cloud's metadata
 * service. IANA special-purpose address registries (RFC 6890), multicast, and IPv6 forms that carry an IPv4 address. BlockList itself
 * takes ::ffff:a.b.c.d for a.b.c.d.
 */
const SPECIAL: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.88.99.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 4, 'ipv4'],
  ['240.0.0.0', 4, 'ipv4'],
  ['::', 96, 'ipv6'],
  ['64:ff9b::', 96, 'ipv6'],
  ['64:ff9b:1::', 48, 'ipv6'],
  ['100::', 64, 'ipv6'],
  ['2001::', 23, 'ipv6'],
  ['2001:db8::', 32, 'ipv6'],
  ['2002::', 16, 'ipv6'],
  ['3fff::', 20, 'ipv6'],
  ['5f00::', 16, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['fec0::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
];

const special = new BlockList();
for (const [address, prefix, family] of SPECIAL) special.addSubnet(address, prefix, family);

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** Which destinations webhooks may have: the public internet, and the ranges that the operator allows (CIDR). */
export class Destinations {
  private readonly allowed = new BlockList();

  /** Throws Error for what is no range. */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address, prefix] = range.split('/');
      if (isIP(address) === 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix)))
        throw new Error(`CORDON_WEBHOOK_ALLOW: "${range}" is no address range`);
      this.allowed.addSubnet(address, Number(prefix ?? (isIP(address) === 6 ? 128 : 32)), familyOf(address));
    }
  }

  permits(address: string): boolean {
    const family = familyOf(address);
    return !special.check(address, family) || this.allowed.check(address, family);
  }

  /** Why a URL is none that a webhook may have; null when it may be tried. Its name is resolved when it is delivered. */
  fault(text: string): string | null {
    const url = URL.canParse(text) ? new URL(text) : null;
    if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) return 'must be an http or https URL';
    if (url.username !== '' || url.password !== '') return 'must not hold a user or password';
    const host = hostOf(url);
    return isIP(host) !== 0 && !this.permits(host) ? 'is not on the public internet' : null;
  }

  /**
   * An address to connect to, checked: the connection must be made to this one, not to the name again, which may mean another address by
   * then. Throws Error when the name has none that is permitted.
   */
  async resolve(url: URL): Promise<{ address: string; family: 4 | 6 }> {
    const host = hostOf(url);
    const found = isIP(host) !== 0 ? [{ address: host, family: isIP(host) }] : await lookup(host, { all: true });
    // One forbidden address among them is enough to refuse: no guessing which one a server meant.
    const refused = found.find(({ address }) => !this.permits(address));
    if (refused || found.length === 0) throw new Error(`${host} is not on the public internet`);
    return { address: found[0].address, family: found[0].family === 6 ? 6 : 4 };
  }
}

const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '');
