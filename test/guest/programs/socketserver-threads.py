"""A threaded HTTP server and its clients, datagrams, descriptors passed between processes, select and poll objects."""
import array
import http.server
import os
import select
import socket
import threading
import urllib.request


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
good = []


def fetch(number):
    body = (b"%d-" % number) * 20_000
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", data=body, timeout=20) as answer:
        good.append(answer.read() == body[::-1])


threads = [threading.Thread(target=fetch, args=(n,)) for n in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
server.shutdown()
print("http", all(good), len(good))

one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
one.bind(("::1", 0))
two = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
two.sendto(b"datagram", one.getsockname()[:2])
print("udp6", one.recvfrom(100)[0])

parent, child = socket.socketpair()
if os.fork() == 0:
    reader, writer = os.pipe()
    socket.send_fds(child, [b"take this"], [reader])
    os.write(writer, b"through a passed pipe")
    os._exit(0)
child.close()
message, fds, flags, _ = socket.recv_fds(parent, 100, 4)
print(message, len(fds), flags, os.read(fds[0], 100))
os.wait()

poller = select.epoll()
pipes = [os.pipe() for _ in range(100)]
for reader, _ in pipes:
    poller.register(reader, select.EPOLLIN)
for _, writer in pipes[10:20]:
    os.write(writer, b"x")
print("epoll", sorted(fd for fd, _ in poller.poll(1)) == sorted(reader for reader, _ in pipes[10:20]))
print("select", len(select.select([reader for reader, _ in pipes], [writer for _, writer in pipes], [], 0)[1]))
print("interfaces", ("lo" in [name for _, name in socket.if_nameindex()]))
print("localhost", socket.create_server(("localhost", 0)).getsockname()[0])
