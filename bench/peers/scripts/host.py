"""The host that makes the calls of a workload in Python, and measures them. See host.go for what it is told and what it answers.

    host.py LIBRARY PAYLOAD BYTES CALLERS WORKERS
"""

import json
import multiprocessing
import os
import platform
import queue
import signal
import sys
import time
from concurrent import futures
from concurrent.futures import process

from peer import Record, echo

clock = time.perf_counter_ns
SETTLE = 0.003  # how long a worker is left alone before it is killed, in seconds


class Standard:
    """concurrent.futures.ProcessPoolExecutor, and what the others have in common with it."""

    version = f"Python {platform.python_version()}"

    def __init__(self, workers):
        self.pool = process.ProcessPoolExecutor(workers)

    def submit(self, payload):
        return self.pool.submit(echo, payload)

    def result(self, future):
        return future.result()

    def close(self):
        self.pool.shutdown()


def loky():
    try:
        import loky as library
    except ImportError:  # joblib brings one along
        from joblib.externals import loky as library

    class Loky(Standard):
        version = f"{library.__version__} ({Standard.version})"

        def __init__(self, workers):
            self.pool = library.get_reusable_executor(workers, timeout=None)

    return Loky


def pebble():
    import importlib.metadata

    import pebble as library

    class Pebble(Standard):
        version = f"{importlib.metadata.version('pebble')} ({Standard.version})"

        def __init__(self, workers):
            self.pool = library.ProcessPool(workers)

        def submit(self, payload):
            return self.pool.schedule(echo, (payload,))

        def result(self, future):
            """A pool whose only worker has died while idle ends, and tells nobody who waits: they have to look."""
            while True:
                try:
                    return future.result(timeout=0.001)
                except futures.TimeoutError:
                    if not self.pool.active:
                        raise

        def close(self):
            self.pool.stop()
            self.pool.join()

    return Pebble


LIBRARIES = {"standard": lambda: Standard, "loky": loky, "pebble": pebble}


def bytes_of(size, caller):
    """Callers differ, so that an answer that reaches the wrong one is noticed."""
    return bytes((caller + 7 * i) & 255 for i in range(size))


def record_of(caller):
    return Record(
        name=f"photo-{caller}.jpg", path="/srv/photos/2024/06", kind="image/jpeg", digest=bytes_of(32, caller),
        id=caller, size=4_812_331, status=200, score=0.8125, cached=True, tags=["holiday", "sea"],
    )


def check(sent, got, fully):
    """The first answer is compared fully, later ones for what cannot be right by chance."""
    if isinstance(sent, bytes):
        right = len(got) == len(sent) and got[0] == sent[0]
    else:
        right = got.id == sent.id and len(got.tags) == len(sent.tags)
    if not right or fully and got != sent:
        raise ValueError("somebody else's answer, or half of it")


class Caller:
    """Makes one call after the other: the callback of each submits the next, which takes half the time of a thread that waits for it."""

    def __init__(self, pool, payload, left):
        self.pool, self.payload, self.left = pool, payload, left
        self.times, self.proven = [], False

    def start(self, end):
        self.times, self.end = [], end
        self.call()

    def call(self):
        self.began = clock()
        self.pool.submit(self.payload).add_done_callback(self.answered)

    def answered(self, future):
        now = clock()
        try:
            check(self.payload, future.result(), not self.proven)
            self.proven = True
            self.times.append(now - self.began)
            if now < self.end:
                self.call()
            else:
                self.left.put(None)
        except Exception as e:  # the round fails with it
            self.left.put(e)


class Host:
    def __init__(self, library, payload, size, callers, workers):
        self.library, self.count, self.workers = LIBRARIES[library](), int(callers), int(workers)
        self.payload_of = record_of if payload == "struct" else lambda caller: bytes_of(int(size), caller)
        self.pool, self.callers, self.left = None, [], queue.SimpleQueue()

    def round(self, length):
        """Has every caller call for so many nanoseconds, at least once."""
        if not self.pool:
            self.pool = self.library(self.workers)
            self.callers = [Caller(self.pool, self.payload_of(i), self.left) for i in range(self.count)]
        began = clock()
        for caller in self.callers:
            caller.start(began + int(length))
        failures = [e for e in [self.left.get() for _ in self.callers] if e]
        if failures:
            raise failures[0]
        return {"took_ns": clock() - began, "pids": pids()}

    def times(self):
        return {"times_ns": [t for caller in self.callers for t in caller.times]}

    def life(self):
        """Starts a pool of one worker, kills it, and has the next one answer, with another pool if this one cannot go on."""
        payload = self.payload_of(0)
        began = clock()
        first = pool = self.library(1)
        pool.result(pool.submit(payload))
        start = clock() - began
        victims = pids()
        time.sleep(SETTLE)
        began = clock()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        try:
            pool.result(pool.submit(payload))
        except Exception:  # each library has its own
            pool = self.library(1)
            pool.result(pool.submit(payload))
        recovery = clock() - began
        if pids() == victims:
            raise RuntimeError("the worker that was killed has answered")
        for p in {first, pool}:
            p.close()
        return {"start_ns": start, "recovery_ns": recovery}

    def version(self):
        return {"version": self.library.version}

    def close(self):
        if self.pool:
            self.pool.close()


def pids():
    return [p.pid for p in multiprocessing.active_children()]


def main():
    host = Host(*sys.argv[1:])
    for line in sys.stdin:
        command, *args = line.split()
        try:
            answer = getattr(host, command)(*args)
        except Exception as e:
            answer = {"error": repr(e)}
        print(json.dumps(answer), flush=True)
    host.close()


if __name__ == "__main__":
    main()
