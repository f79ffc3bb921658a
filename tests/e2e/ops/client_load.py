"""Clients that write and read back what they wrote, through whatever stands in front of a ring."""

import threading

import harness

CLIENTS = 4


class Load:
    """Clients that write and read back. Some begin each request with a new connection, and may never see an error; some
    keep theirs, and may be told that it ended, as after an idle timeout: then they ask once more.

    `connect` gives a new connection, as a client behind a balancer gets one. `live` are records that nobody changes: a
    reader more asks for them all the time, and none may be missing."""

    def __init__(self, connect, live=None):
        self.connect = connect
        self.ended = threading.Event()
        self.problems, self.requests, self.reconnects = [], 0, 0
        self.written = {}
        self.lock = threading.Lock()
        self.live = live or {}
        jobs = [(self.work, (number, number % 2 == 0)) for number in range(CLIENTS)]
        if self.live:
            jobs.append((self.read_live, ()))
        self.threads = [threading.Thread(target=job, args=arguments, daemon=True) for job, arguments in jobs]

    def ask(self, connection, pooled, words, wanted):
        """Sends a request and notes what is wrong with its answer: (the connection for the next, whether all was well)."""
        done = False
        for attempt in range(2 if pooled else 1):
            try:
                if connection is None:
                    connection = self.connect()
                reply = connection.call(*words)
                done = reply == wanted
                if not done:
                    self.problems.append(f"{words}: {reply} instead of {wanted}")
                break
            except (OSError, harness.ReplyError) as error:
                connection = None
                if attempt == 1 or not pooled or isinstance(error, harness.ReplyError):
                    self.problems.append(f"{words}: {error!r}")
                with self.lock:
                    self.reconnects += 1
        if not pooled and connection is not None:
            connection.close()
            connection = None
        return connection, done

    def work(self, number, pooled):
        connection = None
        count = 0
        while not self.ended.is_set():
            key, value = f"k:{number}:{count % 200}", f"{count}"
            count += 1
            connection, done = self.ask(connection, pooled, ("SET", key, value), b"OK")
            with self.lock:
                self.requests += 1
                # Without an answer nobody knows what it did.
                self.written.pop(key, None)
                if done:
                    self.written[key] = value
            if done:
                connection, _ = self.ask(connection, pooled, ("GET", key), value.encode())
                with self.lock:
                    self.requests += 1

    def read_live(self):
        connection = None
        while not self.ended.is_set():
            for key, value in self.live.items():
                if self.ended.is_set():
                    break
                connection, _ = self.ask(connection, True, ("GET", key), harness.as_bytes(value))
                with self.lock:
                    self.requests += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.progress()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def progress(self):
        wanted = self.requests + 200
        harness.wait_for(lambda: self.requests > wanted or self.problems, "the load goes on", 30)

    def forgive_pauses(self):
        """A machine that stood still makes nodes refuse the writes that waited through it; nothing was written."""
        self.problems[:] = [problem for problem in self.problems
                            if "was stopped while the command waited for it; nothing was written" not in problem]

    def check(self):
        assert self.problems[:5] == [], f"{len(self.problems)} of {self.requests}: {self.problems[:5]}"
        with self.connect() as client:
            for key, value in self.written.items():
                assert client.call("GET", key) == value.encode(), key
