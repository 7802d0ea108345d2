"""multiprocessing: three start methods, Pool, Queue, Pipe, locks, shared memory, Manager, exceptions from workers."""
import multiprocessing as mp
from multiprocessing import shared_memory


def square(x):
    return x * x


def fail(x):
    raise ValueError(f"no {x}")


def put(queue, lock, value, items):
    with lock:
        value.value += 1
    for item in items:
        queue.put(item)


def fill(name):
    memory = shared_memory.SharedMemory(name=name)
    memory.buf[0:5] = b"child"
    memory.close()


if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = mp.get_context(method)
        with context.Pool(3) as pool:
            print(method, pool.map(square, range(30)), pool.apply_async(square, (7,)).get(30))
            try:
                pool.map(fail, [1])
            except ValueError as error:
                print(error)
        queue, lock, value = context.Queue(), context.Lock(), context.Value("i", 0)
        workers = [context.Process(target=put, args=(queue, lock, value, range(100))) for _ in range(4)]
        for worker in workers:
            worker.start()
        print(sum(queue.get() for _ in range(400)))
        for worker in workers:
            worker.join()
        print(value.value, [worker.exitcode for worker in workers])
        memory = shared_memory.SharedMemory(create=True, size=1 << 20)
        worker = context.Process(target=fill, args=(memory.name,))
        worker.start(), worker.join()
        print(bytes(memory.buf[:5]))
        memory.close(), memory.unlink()
    with mp.Manager() as manager:
        shared = manager.dict()
        shared["a"] = manager.list([1, 2])
        shared["a"].append(3)
        print(dict(shared)["a"][:])
