"""Ours and theirs in alternation: same data, same start, same stopping rule, result compared."""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

THREADS = os.environ.get("PEERS_THREADS", str(min(2, os.cpu_count() or 1)))
for variable in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"]:
    os.environ[variable] = THREADS

import numpy as np  # noqa: E402  (after the number of threads is fixed)

HERE = pathlib.Path(__file__).parent
sys.modules.setdefault("compare", sys.modules[__name__])  # `from compare import Absent` means this module


class Absent(Exception):
    """A peer or a data set that is not here, and why."""


class Process:
    """A Rust side, a process that keeps its arrays between jobs."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Absent(answer["error"])
        return answer["seconds"], answer["quality"]


def limits():
    """What the machine can do, by numpy: f32 operations a second in products, bytes a second read from memory."""

    def best(run):
        times = []
        for _ in range(7):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return min(times)

    square, long = np.ones((2048, 2048), np.float32), np.ones(100_000_000, np.float32)
    return 2 * 2048**3 / best(lambda: square @ square), long.nbytes / best(lambda: long @ long)


def wide():
    """The widest vectors of this processor."""
    info = pathlib.Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    return "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "the baseline's vectors"


def near(workload, seconds, machine):
    """How near a workload is to the limit that it names."""
    operations, bytes = machine
    if workload.operations:
        return f"{workload.limit}: {100 * workload.operations / seconds / operations:.0f} % of it"
    if workload.bytes:
        return f"{workload.limit}: {100 * workload.bytes / seconds / bytes:.0f} % of it"
    return workload.limit


PAUSE = 0.3  # OpenBLAS and OpenMP threads spin for a while after their work: the next one would run beside them


def reading(run):
    """The median of runs back to back for 0.2 seconds, at most 99: a workload of milliseconds is not read while cores wake up."""
    runs = [run()]
    while sum(seconds for seconds, _ in runs) < 0.2 and len(runs) < 99:
        runs.append(run())
    return statistics.median(seconds for seconds, _ in runs), runs[0][1]


def measure(workload, ours, repeats):
    """Rounds of ours and each peer in turn. Returns {name: [(seconds, quality), ...]} and {absent name: why}."""
    contenders, absent = {"ours": lambda: ours(workload.job)}, {}
    for name, run in workload.peers.items():
        try:
            run()  # the first round warms caches and thread pools up, and shows who is here
            contenders[name] = run
        except (Absent, ImportError) as why:
            absent[name] = str(why).splitlines()[0][:80]
    if len(contenders) == 1:
        raise Absent("; ".join(f"{name}: {why}" for name, why in absent.items()))
    ours(workload.job)
    results = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            time.sleep(PAUSE)
            results[name].append(reading(run))
    return results, absent


def summarise(machine, workload, results, absent):
    seconds = {name: [s for s, _ in runs] for name, runs in results.items()}
    quality = {name: statistics.median(q for _, q in runs) for name, runs in results.items()}
    fastest = min((name for name in seconds if name != "ours"), key=lambda name: statistics.median(seconds[name]))
    ratios = sorted(a / b for a, b in zip(seconds["ours"], seconds[fastest]))
    # as good as the peer: `tolerance` is how much worse than the best peer the quality may be
    best = max if workload.less_is_better is False else min
    peer = best(q for name, q in quality.items() if name != "ours")
    more = (quality["ours"] - peer) / abs(peer)
    worse = {True: more, False: -more, None: abs(more)}[workload.less_is_better]
    return {
        "workload": workload.name,
        "ratio": statistics.median(ratios), "low": ratios[0], "high": ratios[-1],
        "ours": statistics.median(seconds["ours"]),
        "peers": {name: statistics.median(s) for name, s in seconds.items() if name != "ours"},
        "absent": absent, "fastest": fastest, "worse": worse, "equal": worse <= workload.tolerance, "same": workload.less_is_better is None, "limit": near(workload, statistics.median(seconds["ours"]), machine),
    }


def table(group, rows, absent, repeats):
    lines = [
        f"| {group} | ours, s | peers, s | ours / fastest | spread | result | limited by |",
        "| --- | --: | --- | --: | --- | --- | --- |",
    ]
    for row in rows:
        peers = ", ".join(f"{name} {seconds:.3g}" for name, seconds in row["peers"].items())
        peers += "".join(f"; {name} absent ({why})" for name, why in row["absent"].items())
        same = ("the same" if row["same"] else "as good") if row["equal"] else f"WORSE by {row['worse']:.1e}"
        lines.append(
            f"| {row['workload']} | {row['ours']:.3g} | {peers} | **{row['ratio']:.2f}** "
            f"| {row['low']:.2f}–{row['high']:.2f} | {same} | {row['limit']} |"
        )
    lines += [f"| {name} | absent: {why} | | | | | |" for name, why in absent]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True)
    parser.add_argument("--rust", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, help="folder with mnist/train-images-idx3-ubyte.gz")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="only workloads whose title holds this text; no table is written")
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    arguments = parser.parse_args()

    sys.path.insert(0, str(HERE))
    import common
    import group_kmeans
    import group_linear
    import group_mixtures
    import group_nn

    known = {"kmeans": group_kmeans, "mixtures": group_mixtures, "linear": group_linear, "nn": group_nn}
    unknown = [g for g in arguments.groups if g not in known]
    if unknown:
        parser.error(f"no group {unknown[0]}; there are {', '.join(known)}")
    ours = common.OURS = Process(arguments.ours)
    if arguments.rust.exists():
        common.LINFA = Process(arguments.rust)
    figures, failed, machine = {}, False, limits()
    for group in arguments.groups or known:
        rows, absent = [], []
        for make in [w for w in known[group].WORKLOADS if arguments.only in w.title]:
            try:
                workload = make(arguments.work, arguments.data)
                row = summarise(machine, workload, *measure(workload, ours, arguments.repeats))
            except (Absent, ImportError) as why:
                absent.append((make.title, str(why)))
                continue
            rows.append(row)
            figures[f"{group}/{workload.key}"] = round(row["ratio"], 4)
            failed |= not row["equal"]
            print(f"{group}/{workload.key}: {row['ratio']:.3f} of {row['fastest']}", file=sys.stderr, flush=True)
        text = table(group, rows, absent, arguments.repeats)
        print(text + "\n")
        if arguments.only:
            continue
        where = f"{platform.machine()} with {wide()}, {THREADS} threads ({machine[0] / 1e9:.0f} GFLOP/s in f32 products, {machine[1] / 1e9:.0f} GB/s read)"
        where += f", numpy {np.__version__}, {arguments.repeats} rounds in alternation"
        heading = f"<!-- written by benches/peers/run {group} -->\n\nMedian seconds; {where}. A ratio below 1 means that ours is faster.\n\n"
        path = HERE.parent.parent / "docs" / "src" / "measured" / f"{group}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(heading + text + "\n")
    print(json.dumps(figures))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
