"""A hundred threads, sqlite3, ssl, zip imports, mmap, select, epoll, socket servers, signals, venv, tempfile, ctypes."""
import ctypes, http.server, mmap, os, select, signal, socket, socketserver, sqlite3, ssl, subprocess, sys, tempfile, threading
import urllib.request, zipfile, fcntl, time

count, lock = 0, threading.Lock()


def add():
    global count
    for _ in range(500):
        with lock:
            count += 1


threads = [threading.Thread(target=add) for _ in range(100)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
print(count)

database = sqlite3.connect("t.db")
database.execute("create table t(a, b)")
database.executemany("insert into t values(?, ?)", ((i, str(i)) for i in range(20000)))
database.commit()
print(database.execute("select count(*), sum(a) from t where b like '%7%'").fetchone())
print(ssl.OPENSSL_VERSION.split()[0], ssl.create_default_context().check_hostname)

with zipfile.ZipFile("m.zip", "w") as archive:
    archive.writestr("zipped.py", "value = 42")
sys.path.insert(0, "m.zip")
import zipped

print(zipped.value)
with open("mapped", "wb") as file:
    file.write(b"x" * 100000)
with open("mapped", "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 0)
    mapped[5000:5005] = b"hello"
    print(mapped.find(b"hello"))
    mapped.flush(), mapped.close()
print(open("mapped", "rb").read()[5000:5005])

a, b = socket.socketpair()
poller = select.epoll()
poller.register(b, select.EPOLLIN)
a.send(b"x")
print(poller.poll(1)[0][1], [len(part) for part in select.select([b], [a], [], 1)])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode() * 1000)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://localhost:{server.server_port}"
print(sum(len(urllib.request.urlopen(f"{url}/{i}").read()) for i in range(20)))
server.shutdown()

seen = []
signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(seen) < 5:
    time.sleep(0.1)
signal.setitimer(signal.ITIMER_REAL, 0)
print(set(seen))
subprocess.run([sys.executable, "-m", "venv", "--without-pip", "env"], check=True)
print(subprocess.check_output(["env/bin/python", "-c", "import sys; print(sys.prefix != sys.base_prefix)"]))
with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "f")
    with open(path, "w") as one, open(path) as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        try:
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            print("locked")
libc = ctypes.CDLL(None)
print(libc.strlen(b"seven77"))
