"""Fills every pipe it can make, then sends descriptors to nobody until it is told to stop."""
import errno
import fcntl
import os
import socket

F_SETPIPE_SZ = 1031
queued = 0
pipes = []
for _ in range(200):
    reader, writer = os.pipe2(os.O_NONBLOCK)
    pipes.append((reader, writer))
    fcntl.fcntl(writer, F_SETPIPE_SZ, 1 << 20)
    try:
        while True:
            queued += os.write(writer, b"x" * 65536)
    except OSError as error:
        assert error.errno in (errno.EAGAIN, errno.ENOMEM)
print(queued >> 20, "MiB")
for reader, writer in pipes:
    os.close(reader)
    os.close(writer)
reader, writer = os.pipe()
print(os.write(writer, b"y" * 1000), len(os.read(reader, 5000)))
try:
    for _ in range(1000):
        one, other = socket.socketpair()
        socket.send_fds(one, [b"1"], [one.fileno(), other.fileno()] * 100)
        one.close()
        other.close()
except OSError as error:
    print(errno.errorcode[error.errno])
