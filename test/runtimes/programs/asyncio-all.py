"""asyncio: streams over TCP and Unix sockets, subprocesses, signals, threads, timeouts."""
import asyncio, os, signal


async def main():
    async def shout(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def client(i):
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write(b"line %d\n" % i)
        answer = await reader.readline()
        writer.close()
        return answer

    print(await asyncio.gather(*(client(i) for i in range(20))))
    unix = await asyncio.start_unix_server(shout, "socket", limit=1 << 20)
    reader, writer = await asyncio.open_unix_connection("socket", limit=1 << 20)
    writer.write(b"x" * 200000 + b"\n")
    print(len(await reader.readline()))
    writer.close()
    server.close(), unix.close()
    process = await asyncio.create_subprocess_exec("sh", "-c", "cat; echo err >&2; exit 3", stdin=-1, stdout=-1, stderr=-1)
    print(await process.communicate(b"in"), process.returncode)
    many = await asyncio.gather(*(asyncio.create_subprocess_exec("sh", "-c", f"exit {i}") for i in range(10)))
    print([await one.wait() for one in many])
    slow = await asyncio.create_subprocess_exec("sleep", "100")
    slow.terminate()
    print(await slow.wait())
    got = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, got.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(got.wait(), 5)
    print(await asyncio.gather(*(asyncio.to_thread(pow, i, 2) for i in range(10))))
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError:
        print("timeout")


asyncio.run(main())
