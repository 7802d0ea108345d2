import { ESRCH } from '../../abi/errno.js';
import { major, minor } from '../../abi/stat.js';
import { mountIdOf } from '../../vfs/mount-table.js';
import { pathName } from '../../vfs/path-walk.js';
import type { Mount } from '../../vfs/types.js';
import type { Subject } from './subject.js';
import { joinLines, mangle } from './text.js';

function shown(subject: Subject): { mount: Mount; point: string; id: number; parent: number }[] | number {
  const { kernel, fs } = subject;
  const root = fs?.root ?? { mount: kernel.rootMount, dentry: kernel.rootMount.root };
  if (!subject.group) return -ESRCH;
  const idOf = (mount: Mount): number => mountIdOf(kernel.mounts, mount);
  return kernel.mounts.map((mount) => ({
    mount,
    point: mount.mountPoint ? pathName(mount.mountPoint, root) : '/',
    id: idOf(mount),
    parent: mount.mountPoint ? idOf(mount.mountPoint.mount) : idOf(kernel.rootMount) - 1,
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
