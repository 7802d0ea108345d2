import numpy as np

rng = np.random.default_rng(1)
a = rng.random((300, 300))
print((a @ np.linalg.inv(a)).trace().round(6), np.fft.fft(np.arange(8.0)).round(3).tolist())
np.save("a.npy", a)
mapped = np.load("a.npy", mmap_mode="r+")
mapped[0, 0] = 5
mapped.flush()
print(np.load("a.npy")[0, 0], np.sort(rng.integers(0, 1000, 100000))[::20000].tolist())
