# SO_REUSEPORT: who may share a port, and who of those gets what.
import errno
import os
import socket
import sys


def bound(port=0, reuse=True, family=socket.AF_INET, kind=socket.SOCK_STREAM, host="127.0.0.1"):
    made = socket.socket(family, kind)
    if reuse:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((host, port))
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    made.setblocking(False)
    return made


def attempt(name, call):
    try:
        call()
        print(name, "ok")
    except OSError as error:
        print(name, errno.errorcode[error.errno])


def count(take):
    found = 0
    while True:
        try:
            kept.append(take())
            found += 1
        except BlockingIOError:
            return found


kept = []
listeners = [bound()]
port = listeners[0].getsockname()[1]
listeners += [bound(port) for _ in range(3)]
print("option", listeners[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
attempt("without it", lambda: bound(port, False))


def connect(many):
    for _ in range(many):
        client = socket.socket()
        client.connect(("127.0.0.1", port))
        kept.append(client)


connect(64)
counts = [count(listener.accept) for listener in listeners]
print("connections", sum(counts), "at several", sum(1 for found in counts if found) > 1)
listeners.pop(1).close()
connect(32)
print("without one", sum(count(listener.accept) for listener in listeners))

sockets = [bound(kind=socket.SOCK_DGRAM)]
place = sockets[0].getsockname()
sockets += [bound(place[1], kind=socket.SOCK_DGRAM) for _ in range(3)]
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(20):
    sender.sendto(b"x", place)
print("one sender", sorted(count(lambda: receiver.recv(10)) for receiver in sockets))
for _ in range(64):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(b"x", place)
    kept.append(sender)
counts = [count(lambda: receiver.recv(10)) for receiver in sockets]
print("many senders", sum(counts), "at several", sum(1 for found in counts if found) > 1)

alone = bound(0, False)
attempt("beside one without it", lambda: bound(alone.getsockname()[1]))
sys.stdout.flush()
if os.fork() == 0:
    if os.getuid() == 0:
        os.setuid(4321)
        attempt("another user", lambda: bound(port))
    sys.stdout.flush()
    os._exit(0)
os.wait()
attempt("wildcard", lambda: bound(port, host="0.0.0.0"))
attempt("wildcard without it", lambda: bound(port, False, host="0.0.0.0"))
six = bound(0, True, socket.AF_INET6, host="::")
attempt("IPv4 beside IPv6", lambda: bound(six.getsockname()[1], host="0.0.0.0"))
