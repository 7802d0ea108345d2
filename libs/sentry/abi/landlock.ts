/** Landlock (linux/landlock.h), ABI 1: rights on files. */
export const LANDLOCK_ABI = 1;
export const LANDLOCK_CREATE_RULESET_VERSION = 1;
export const LANDLOCK_RULE_PATH_BENEATH = 1;

export const FS_EXECUTE = 1 << 0;
export const FS_WRITE_FILE = 1 << 1;
export const FS_READ_FILE = 1 << 2;
export const FS_READ_DIR = 1 << 3;
export const FS_REMOVE_DIR = 1 << 4;
export const FS_REMOVE_FILE = 1 << 5;
export const FS_MAKE_CHAR = 1 << 6;
export const FS_MAKE_DIR = 1 << 7;
export const FS_MAKE_REG = 1 << 8;
export const FS_MAKE_SOCK = 1 << 9;
export const FS_MAKE_FIFO = 1 << 10;
export const FS_MAKE_BLOCK = 1 << 11;
export const FS_MAKE_SYM = 1 << 12;
export const FS_ALL = (1 << 13) - 1;
/** Those that a rule for a file, and not a directory, may give. */
export const FS_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE;

export const LANDLOCK_LAYERS_MAX = 16;
export const RULESET_ATTR_BYTES = 8;
export const PATH_BENEATH_ATTR_BYTES = 12;
