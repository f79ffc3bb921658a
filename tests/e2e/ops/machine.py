"""A Debian of its own, in a folder: packages are installed in it, and systemd runs them. Needs root."""

import contextlib
import pathlib
import shlex
import shutil
import subprocess

import harness

CACHE = harness.ROOT / "build" / "e2e-machine"
# What an installed node is asked for, beside the packages' own dependencies.
SYSTEM = ["systemd", "systemd-sysv", "dbus", "bash-completion"]


def run(*command, status=0, **more):
    """Its output, standard error included."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=600 * harness.PATIENCE, **more)
    assert done.returncode == status, f"{shlex.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-3000:]}"
    return done.stdout


def dependencies(packages):
    """The names of what the packages depend on, of alternatives the first."""
    own = {run("dpkg-deb", "-f", path, "Package").strip() for path in packages}
    names = set()
    for path in packages:
        for clause in run("dpkg-deb", "-f", path, "Depends").split(","):
            name = clause.split("|")[0].split("(")[0].strip()
            if name and name not in own:
                names.add(name)
    return sorted(names)


class Machine:
    def __init__(self, directory, packages):
        self.root = pathlib.Path(directory)
        names = sorted({*SYSTEM, *dependencies(packages)})
        CACHE.mkdir(parents=True, exist_ok=True)
        tar, made_of = CACHE / "root.tar", CACHE / "root.names"
        if not tar.exists() or not made_of.exists() or made_of.read_text() != " ".join(names):
            run("mmdebstrap", "--variant=minbase", f"--include={','.join(names)}", "bookworm", tar)
            made_of.write_text(" ".join(names))
        run("tar", "-xf", tar, "-C", self.root)
        self.supervisor = None
        for path in packages:
            shutil.copy(path, self.root / "tmp")

    def chroot(self, *command, **more):
        """A command in the machine while it does not run."""
        script = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"'
        return run("unshare", "-m", "sh", "-c", script, self.root, *command, **more)

    @contextlib.contextmanager
    def booted(self, tmp_path):
        """systemd as process 1, on the network of this machine (loopback ports are shared)."""
        process = harness.Process("systemd", [
            "unshare", "-m", "bash", "-c",
            f"mount -t tmpfs tmpfs /run; exec systemd-nspawn -q -D {self.root} --register=no --keep-unit -b"],
            tmp_path / "systemd.log")
        process.spawn()
        try:
            harness.wait_for(lambda: self._init_of(process) is not None, "systemd runs", 30 * harness.PATIENCE)
            self.supervisor = self._init_of(process)
            harness.wait_for(self._is_up, "systemd is up", 60 * harness.PATIENCE, interval=0.2)
            yield
        except BaseException:
            print(process.log())
            raise
        finally:
            if self.supervisor is not None and process.alive():
                subprocess.run(["kill", "-s", "RTMIN+4", str(self.supervisor)], check=False)
                with contextlib.suppress(AssertionError):
                    process.wait_exit(30 * harness.PATIENCE)
            process.kill()
            self.supervisor = None

    @staticmethod
    def _init_of(process):
        """The first process in the machine: nspawn has a helper, whose child it is."""
        pid = process.pid
        for _ in range(4):
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if not children:
                return None
            pid = int(children[0])
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return pid
        return None

    def _is_up(self):
        done = subprocess.run(["nsenter", "-t", str(self.supervisor), "-a", "systemctl", "is-system-running"],
                              capture_output=True, text=True, timeout=30)
        return done.stdout.strip() in ("running", "degraded")

    def enter(self, *command, **more):
        """A command in the running machine."""
        return run("nsenter", "-t", self.supervisor, "-a", *command, **more)

    def show(self, unit, *properties):
        """[value] of properties of a unit."""
        lines = self.enter("systemctl", "show", unit, *[f"-p{name}" for name in properties]).splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return [values[name] for name in properties]
