import { ESRCH } from '../../abi/errno.js';
import { major, minor } from '../../abi/stat.js';
import { pathName } from '../../vfs/path-walk.js';
import type { Mount } from '../../vfs/types.js';
import type { Subject } from './subject.js';
import { joinLines, mangle } from './text.js';

/** First mount id; 0 and small ones mean nothing in Linux either. */
const FIRST_ID = 20;

function shown(subject: Subject): { mount: Mount; point: string; id: number; parent: number }[] | number {
  const { kernel, fs } = subject;
  const root = fs?.root ?? { mount: kernel.rootMount, dentry: kernel.rootMount.root };
  if (!subject.group) return -ESRCH;
  const ids = new Map(kernel.mounts.map((mount, index) => [mount, FIRST_ID + index]));
  return kernel.mounts.map((mount) => ({
    mount,
    point: mount.mountPoint ? pathName(mount.mountPoint, root) : '/',
    id: ids.get(mount) ?? FIRST_ID,
    parent: (mount.mountPoint && ids.get(mount.mountPoint.mount)) ?? FIRST_ID - 1,
  }));
}

const access = (mount: Mount): string => (mount.fileSystem.readOnly ? 'ro' : 'rw');
/** Options without the access mode, which is written first. */
const rest = (mount: Mount): string =>
  mount.options
    .split(',')
    .filter((option) => option !== '' && option !== 'ro' && option !== 'rw')
    .map((option) => `,${option}`)
    .join('');

/** /proc/N/mounts, as in /etc/mtab. */
export function mounts(subject: Subject): string | number {
  const list = shown(subject);
  if (typeof list === 'number') return list;
  return joinLines(
    list.map(
      ({ mount, point }) =>
        `${mangle(mount.source)} ${mangle(point)} ${mount.fileSystem.type} ${access(mount)}${rest(mount)} 0 0`,
    ),
  );
}

export function mountinfo(subject: Subject): string | number {
  const list = shown(subject);
  if (typeof list === 'number') return list;
  return joinLines(
    list.map(({ mount, point, id, parent }) => {
      const { device, type } = mount.fileSystem;
      return `${id} ${parent} ${major(device)}:${minor(device)} / ${mangle(point)} ${access(mount)}${rest(mount)} - ${type} ${mangle(mount.source)} ${access(mount)}`;
    }),
  );
}

export function mountstats(subject: Subject): string | number {
  const list = shown(subject);
  if (typeof list === 'number') return list;
  return joinLines(
    list.map(
      ({ mount, point }) =>
        `device ${mangle(mount.source)} mounted on ${mangle(point)} with fstype ${mount.fileSystem.type}`,
    ),
  );
}
