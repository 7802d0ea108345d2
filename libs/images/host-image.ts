import { existsSync, lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import type { ImageMount, ImageSpec } from '@cordon/sentry/boot/boot-message';

/** Directories of programs and libraries. Links (merged /usr) stay links. */
const PROGRAM_DIRECTORIES = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
/** Of packages that keep outside of them what their programs cannot do without. */
const PACKAGE_DIRECTORIES = ['/var/lib/ghc'];

/**
 * What programs look for in /etc and what says nothing about this machine. An allow-list: accounts, keys, network,
 * machine-id and whatever a package puts there tomorrow stay out.
 */
const ETC_ENTRIES = [
  'alternatives',
  'bash.bashrc',
  'ca-certificates.conf',
  'debian_version',
  'emacs',
  'ethertypes',
  'fonts',
  'fpc.cfg',
  'gai.conf',
  'gdb',
  'ghostscript',
  'glvnd',
  'gnucobol',
  'gprofng.rc',
  'groff',
  'groovy',
  'host.conf',
  'ImageMagick-6',
  'ImageMagick-7',
  'inputrc',
  'java-11-openjdk',
  'java-17-openjdk',
  'java-21-openjdk',
  'java-25-openjdk',
  'java-8-openjdk',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'locale.alias',
  'magic',
  'magic.mime',
  'manpath.config',
  'matplotlibrc',
  'mime.types',
  'mke2fs.conf',
  'mono',
  'netconfig',
  'nim',
  'octaverc',
  'papersize',
  'perl',
  'php',
  'postgresql-common',
  'protocols',
  'python3',
  'python3.10',
  'python3.11',
  'python3.12',
  'python3.13',
  'python3.14',
  'python3.9',
  'R',
  'racket',
  'rlwrap',
  'rpc',
  'sbclrc',
  'services',
  'sgml',
  'ssl/certs',
  'ssl/openssl.cnf',
  'terminfo',
  'texmf',
  'vim',
  'xattr.conf',
  'xml',
];

/** As those, with a version in their names. */
const ETC_PATTERNS = [/^fpc-[\d.]+\.cfg$/];

const PASSWD = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
user:x:1000:1000:user:/home/user:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`;

/** Nobody has a password; only root can look. */
const SHADOW = PASSWD.replace(/^([^:]*):.*$/gm, '$1:*:20000:0:99999:7:::');

const GROUP = `root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
www-data:x:33:
shadow:x:42:
utmp:x:43:
staff:x:50:
games:x:60:
users:x:100:
user:x:1000:
nogroup:x:65534:
`;

const HOSTS = `127.0.0.1 localhost
127.0.1.1 sandbox
::1 localhost ip6-localhost ip6-loopback
`;

const NSSWITCH = `passwd: files
group: files
shadow: files
gshadow: files
hosts: files dns
networks: files
protocols: files
services: files
ethers: files
rpc: files
netgroup: files
`;

const OS_RELEASE = `PRETTY_NAME="Cordon sandbox"
NAME="Cordon"
ID=cordon
ID_LIKE=debian
VERSION_ID="1"
`;

const SHELLS = `/bin/sh
/bin/bash
/usr/bin/sh
/usr/bin/bash
`;

const PROFILE = `PS1='\\u@\\h:\\w\\$ '
export PS1
umask 022
`;

/** Files the image provides itself: the sandbox's truth instead of the host's. */
const FILES: ImageSpec['files'] = [
  { path: '/etc/passwd', content: PASSWD, mode: 0o644 },
  { path: '/etc/shadow', content: SHADOW, mode: 0o600 },
  { path: '/etc/group', content: GROUP, mode: 0o644 },
  { path: '/etc/hosts', content: HOSTS, mode: 0o644 },
  { path: '/etc/hostname', content: 'sandbox\n', mode: 0o644 },
  { path: '/etc/resolv.conf', content: '# no name server: the sandbox has no network\n', mode: 0o644 },
  { path: '/etc/nsswitch.conf', content: NSSWITCH, mode: 0o644 },
  { path: '/etc/os-release', content: OS_RELEASE, mode: 0o644 },
  { path: '/etc/shells', content: SHELLS, mode: 0o644 },
  { path: '/etc/profile', content: PROFILE, mode: 0o644 },
  { path: '/etc/environment', content: '', mode: 0o644 },
  { path: '/etc/timezone', content: 'Etc/UTC\n', mode: 0o644 },
  { path: '/etc/machine-id', content: '', mode: 0o444 },
];

/** Never mounted as such: programs expect them to be writable or of another kind. */
const LINKS: ImageSpec['links'] = [
  { path: '/etc/localtime', target: '/usr/share/zoneinfo/Etc/UTC' },
  { path: '/etc/mtab', target: '../proc/self/mounts' },
];

function kindOf(path: string): 'link' | 'mount' | null {
  try {
    const status = lstatSync(path);
    if (status.isSymbolicLink()) return existsSync(path) ? 'link' : null;
    return status.isDirectory() || status.isFile() ? 'mount' : null;
  } catch {
    return null;
  }
}

/** Readable for everybody: in a Sentry the host's root is nobody. */
function readable(path: string): boolean {
  const { mode } = statSync(path);
  return (mode & 0o004) !== 0;
}

/** This machine's /usr and what belongs to it, read-only, with a synthetic /etc. Reads directories only, no contents. */
export function hostImage(): ImageSpec {
  const mounts: ImageMount[] = [];
  const links = [...LINKS];
  const add = (path: string) => {
    const kind = kindOf(path);
    if (kind === 'link') links.push({ path, target: readlinkSync(path) });
    else if (kind === 'mount' && readable(path)) mounts.push({ path, source: path });
  };
  for (const path of [...PROGRAM_DIRECTORIES, ...PACKAGE_DIRECTORIES]) add(path);
  const versioned = readdirSync('/etc').filter((name) => ETC_PATTERNS.some((pattern) => pattern.test(name)));
  for (const entry of [...ETC_ENTRIES, ...versioned]) add(`/etc/${entry}`);
  return { name: 'host', mounts, files: FILES, links };
}
