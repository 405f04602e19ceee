"""Workloads and the data they run on."""
import dataclasses
import gzip
import time
import typing

import numpy as np

from compare import Absent


@dataclasses.dataclass
class Workload:
    key: str  # in the JSON line
    name: str  # in the table
    job: dict  # for our process
    peers: dict  # name -> () -> (seconds, quality)
    limit: str  # what bounds the time on this shape
    less_is_better: bool | None = True  # None: the quality must be the peer's, neither less nor more
    tolerance: float = 1e-4  # how much worse than the peer's the quality may be, relative
    operations: float = 0  # multiplications and additions that it cannot do without, f32
    bytes: float = 0  # that it cannot help reading from memory


LINFA = None  # the process of the Rust peers, when it could be built


def linfa(job):
    """A peer that asks linfa."""

    def run():
        if LINFA is None:
            raise Absent("not built")
        return LINFA(job)

    return run


OURS = None  # our own process, for rows that compare two ways of ours


def ours(job):
    """A peer that is another way of ours."""
    return lambda: OURS(job)


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def saved(folder, name, make: typing.Callable[[], np.ndarray]):
    """The array and its file, made once."""
    path = folder / f"{name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, make())
    return np.load(path), str(path)


def blobs(folder, n, d, k):
    def make():
        rng = np.random.default_rng(0)
        centres = rng.normal(scale=3.0, size=(k, d))
        return (centres[rng.integers(k, size=n)] + rng.normal(size=(n, d))).astype(np.float32)

    return saved(folder, f"blobs_{n}_{d}_{k}", make)


def mnist(folder, data):
    path = data / "mnist" / "train-images-idx3-ubyte.gz" if data else None
    if path is None or not path.exists():
        raise Absent("give --data FOLDER with mnist/train-images-idx3-ubyte.gz")

    def make():
        raw = np.frombuffer(gzip.open(path).read(), np.uint8, offset=16)
        return (raw.reshape(-1, 784) / 255.0).astype(np.float32)

    return saved(folder, "mnist", make)
