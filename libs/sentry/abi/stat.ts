/** File types and mode bits (inode(7)), directory entry types, statfs magic numbers. */
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;

/** d_type of a mode: S_IFMT >> 12. */
export const direntType = (mode: number): number => (mode & S_IFMT) >> 12;

export const TMPFS_MAGIC = 0x01021994;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
export const PROC_SUPER_MAGIC = 0x9fa0;
export const CGROUP2_SUPER_MAGIC = 0x63677270;
export const MQUEUE_MAGIC = 0x19800202;
export const SYSFS_MAGIC = 0x62656572;
export const DEVPTS_SUPER_MAGIC = 0x1cd1;

/** Device number as Linux encodes it for user space. */
export const makedev = (major: number, minor: number): number =>
  ((minor & 0xff) | ((major & 0xfff) << 8)) + (minor & ~0xff) * 4096;
export const major = (device: number): number => Math.floor(device / 256) & 0xfff;
export const minor = (device: number): number => (device & 0xff) | (Math.floor(device / 4096) & ~0xff);
