# A full file system: what calls answer, and that room comes back.
import errno
import mmap
import os

BLOCK = bytes(1 << 20)


def attempt(name, call):
    try:
        print(name, call())
    except OSError as error:
        print(name, errno.errorcode[error.errno])


def fill(name):
    handle = os.open(name, os.O_CREAT | os.O_RDWR, 0o600)
    total = 0
    while True:
        try:
            written = os.write(handle, BLOCK)
        except OSError as error:
            return handle, total, errno.errorcode[error.errno]
        total += written


handle, total, reason = fill("/tmp/full")
free = os.statvfs("/tmp")
print("full:", reason, "size as written:", os.fstat(handle).st_size == total, "some:", total > 16 << 20)
attempt("one more byte", lambda: os.pwrite(handle, b"x", total + (1 << 20)))
attempt("over what is there", lambda: os.pwrite(handle, b"x", 0))
attempt("fallocate", lambda: os.posix_fallocate(handle, total, 8 << 20))
attempt("a hole", lambda: os.truncate("/tmp/full", total + (64 << 20)))
attempt("another file", lambda: os.write(os.open("other", os.O_CREAT | os.O_WRONLY), bytes(8192)))
attempt("an empty file", lambda: os.close(os.open("/tmp/empty", os.O_CREAT | os.O_WRONLY)))
attempt("a directory", lambda: os.mkdir("/tmp/directory"))
attempt("a name", lambda: os.rename("/tmp/empty", "/tmp/directory/moved"))
attempt("copy_file_range", lambda: os.copy_file_range(handle, os.open("/dev/shm/copy", os.O_CREAT | os.O_WRONLY), 8 << 20, 0))
attempt("fsync", lambda: os.fsync(handle))
# Programs have memory left: a full disk must not end them.
memory = mmap.mmap(-1, 4 << 20)
for at in range(0, len(memory), 4096):
    memory[at] = 1
print("memory: ok")
memory.close()
os.unlink("/tmp/full")
attempt("open files keep their room", lambda: os.pwrite(handle, b"x", total + (1 << 20)))
os.close(handle)
handle, again, reason = fill("/tmp/full")
print("room again:", abs(again - total) < 1 << 20, reason)
os.truncate(handle, 1 << 20)
attempt("after truncation", lambda: os.pwrite(handle, BLOCK, 1 << 20))
