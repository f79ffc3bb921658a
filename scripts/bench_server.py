"""A server process under measurement: what the bench-* scripts share. Not a command."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build" / "release" / "bin"
TICK = os.sysconf("SC_CLK_TCK")
READY_SECONDS_MAX = 20
STOP_SECONDS_MAX = 20


def build(*targets):
    """The release build of `targets`, or the end of the program."""
    done = subprocess.run([ROOT / "scripts" / "build", "release", *targets], stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: the build failed (above)")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a process so far."""
    # Behind the name, which may hold spaces: field 3 is the state, 14 and 15 are user and system time.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Server:
    """One server process, on `cores` (default: any), that listens on `ports` of 127.0.0.1. `with` waits and stops."""

    def __init__(self, command, ports, cores=()):
        self.name = pathlib.Path(command[0]).name
        self.ports = ports
        self.directory = tempfile.mkdtemp(prefix="gyre-bench-")
        self.log = open(os.path.join(self.directory, "log"), "w")
        pinned = ["taskset", "-c", ",".join(map(str, cores))] if cores else []
        self.process = subprocess.Popen([*pinned, *map(str, command)], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, cwd=self.directory)

    def __enter__(self):
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait(self):
        deadline = time.monotonic() + READY_SECONDS_MAX
        for port in self.ports:
            while True:
                if self.process.poll() is not None:
                    sys.exit(f"{self.name} ended:\n" + self.log_text()[-2000:])
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if time.monotonic() > deadline:
                    sys.exit(f"{self.name} does not listen on {port}")
                time.sleep(0.02)

    def log_text(self):
        return pathlib.Path(self.log.name).read_text()

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def resident_bytes(self):
        """Now, and at the most since the start or reset_resident_peak."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        return tuple(int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))

    def reset_resident_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
