"""asyncio over TCP, unix sockets, subprocess pipes and signals: an event loop's whole use of epoll."""
import asyncio
import os
import signal
import sys


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def client(open_connection, size):
    reader, writer = await open_connection()
    payload = bytes(i * 31 & 0xFF for i in range(size))

    async def send():
        writer.write(payload)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    received = await reader.read(-1)
    await sending
    writer.close()
    return received == payload


async def main():
    tcp = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    unix = await asyncio.start_unix_server(echo, "echo.sock")
    results = await asyncio.gather(
        *(client(lambda: asyncio.open_connection("127.0.0.1", port), 300_000) for _ in range(6)),
        *(client(lambda: asyncio.open_unix_connection("echo.sock"), 300_000) for _ in range(6)),
    )
    print("echoed", all(results), len(results))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; print(len(sys.stdin.buffer.read()))",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(b"x" * 200_000)
    print("child", out.decode().strip(), process.returncode)
    got = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, got.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(got.wait(), 5)
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.02)
    except asyncio.TimeoutError:
        print("timed out")
    try:
        await asyncio.open_connection("127.0.0.1", 1)
    except ConnectionRefusedError:
        print("refused")
    tcp.close()
    unix.close()


asyncio.run(main())
