"""The Debian packages: made, read by lintian, installed on a Debian of their own, started by a real systemd, removed; and a
program built against the installed library.

Run by scripts/test --integrations, which installs what this needs; the name keeps it out of a plain run of pytest.
"""

import re
import subprocess
import time

import pytest

import harness
import machine
from machine import run

PACKAGES = ("gyred", "gyre", "libgyre1", "libgyre-dev")
SECONDS_MAX = 60 * harness.PATIENCE
# Of a unit, as systemd-analyze security counts: below 2 is its "OK".
EXPOSURE_MAX = 2.0
UNIT = "gyred@default"


@pytest.fixture(scope="module")
def packages():
    """{name: path}, made now."""
    run(harness.ROOT / "scripts" / "package", "deb")
    folder = harness.ROOT / "build" / "packages"
    return {name: next(folder.glob(f"{name}_*.deb")) for name in PACKAGES}


@pytest.fixture(scope="module")
def debian(packages, tmp_path_factory):
    """A Debian with gyred and gyre on it."""
    root = tmp_path_factory.mktemp("debian")
    debian = machine.Machine(root, [packages["gyred"], packages["gyre"]])
    debian.chroot("sh", "-c", "dpkg -i /tmp/*.deb")
    yield debian
    run("rm", "-rf", "--one-file-system", root)


def test_lintian_finds_no_fault(packages):
    said = run("lintian", "--allow-root", "--fail-on", "error,warning", *packages.values())
    assert not re.findall(r"^[EW]: .*", said, flags=re.M), said


def test_each_package_has_what_it_is_for(packages):
    def files(name):
        return {line.split()[5].lstrip(".") for line in run("dpkg-deb", "-c", packages[name]).splitlines()
                if not line.startswith("d")}

    assert files("gyred") >= {"/usr/bin/gyred", "/lib/systemd/system/gyred@.service", "/usr/lib/sysusers.d/gyred.conf",
                              "/etc/gyre/default.toml", "/usr/share/man/man1/gyred.1.gz"}
    assert files("gyre") >= {"/usr/bin/gyre", "/usr/share/man/man1/gyre.1.gz",
                             "/usr/share/bash-completion/completions/gyre", "/usr/share/zsh/vendor-completions/_gyre"}
    assert any(path.endswith("/libgyre.so.1") for path in files("libgyre1"))
    assert files("libgyre-dev") >= {"/usr/include/gyre/client.h", "/usr/include/gyre/operation.h",
                                    "/usr/include/gyre/result.h"}
    for name, path in packages.items():
        print(name, path.stat().st_size, "bytes")


def test_the_library_shows_what_its_headers_declare(packages, tmp_path):
    run("dpkg-deb", "-x", packages["libgyre1"], tmp_path)
    library = next(tmp_path.rglob("libgyre.so.1"))
    assert "SONAME               libgyre.so.1\n" in run("objdump", "-p", library)
    shown = [line.split(maxsplit=2)[-1] for line in run("nm", "-D", "--defined-only", "-C", library).splitlines()]
    assert len(shown) > 50
    # A template that returns an Operation has that in front of its name.
    public = re.compile(r"(gyre::client::(Client|Operation<)|gyre::client::ErrorCodeName|GYRE_1)")
    assert not [name for name in shown if not public.match(name)]
    needed = set(re.findall(r"NEEDED +(\S+)", run("objdump", "-p", library)))
    needed -= {name for name in needed if name.startswith("ld-linux")}
    assert needed <= {"libuv.so.1", "libstdc++.so.6", "libgcc_s.so.1", "libc.so.6", "libm.so.6"}, needed


def test_the_manual_pages_have_no_fault(debian, tmp_path):
    for name in ("gyred", "gyre"):
        page = debian.root / "usr" / "share" / "man" / "man1" / f"{name}.1.gz"
        if not page.exists():  # minbase leaves manuals out
            run("dpkg-deb", "-x", next((debian.root / "tmp").glob(f"{name}_*.deb")), tmp_path)
            page = tmp_path / "usr" / "share" / "man" / "man1" / f"{name}.1.gz"
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], capture_output=True,
                              text=True)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        text = subprocess.run(["man", "-l", page], capture_output=True, text=True,
                              env={"MANWIDTH": "200", "PATH": "/usr/bin:/bin"}).stdout
        for option in re.findall(r"^ +(--[a-z-]+)", harness.ToolResult(subprocess.run(
                [harness.binary(name), "--help"], capture_output=True, text=True)).out, flags=re.M):
            assert option in text, f"{name}(1) does not know {option}"


def test_completion_knows_the_commands(debian):
    script = ". /usr/share/bash-completion/bash_completion; . /usr/share/bash-completion/completions/{0}; "
    words = debian.chroot("bash", "-c", script.format("gyre") +
                          "COMP_WORDS=(gyre --connect a:1 re); COMP_CWORD=3; _gyre; echo ${COMPREPLY[@]}").split()
    assert words == ["remove", "restart-check", "rebalance"]
    words = debian.chroot("bash", "-c", script.format("gyred") +
                          "COMP_WORDS=(gyred --resp); COMP_CWORD=1; COMP_LINE='gyred --resp'; COMP_POINT=12; "
                          "_longopt gyred --resp gyred; echo ${COMPREPLY[@]}").split()
    assert {word.rstrip("=") for word in words} == {"--resp-port", "--resp-cluster-port"}
    run("zsh", "-n", debian.root / "usr/share/zsh/vendor-completions/_gyre")


def test_the_unit_is_right_and_tight(debian):
    assert debian.chroot("systemd-analyze", "verify", "--man=no", f"{UNIT}.service") == ""
    said = debian.chroot("systemd-analyze", "security", "--offline=true", "--threshold=20", f"{UNIT}.service")
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said).group(1))
    print("exposure", exposure)
    assert exposure < EXPOSURE_MAX, said


def test_systemd_starts_watches_and_stops_it(debian, tmp_path):
    ports = {key: harness.free_port()
             for key in ("port", "resp-port", "resp-cluster-port", "memcached-port", "http-port")}
    (debian.root / "etc/gyre/default.toml").write_text("".join(f"{key} = {port}\n" for key, port in ports.items()))
    (debian.root / "etc/gyre/default.env").write_text("GYRE_NAME=from-env\n")
    override = debian.root / "etc/systemd/system/gyred@.service.d"
    override.mkdir(parents=True)
    (override / "test.conf").write_text("[Service]\nWatchdogSec=3\n")
    node = harness.Node("installed", tmp_path)
    node.http_port, node.resp_port = ports["http-port"], ports["resp-port"]

    with debian.booted(tmp_path):
        began = time.monotonic()
        debian.enter("systemctl", "start", UNIT)
        print(f"systemctl start: {time.monotonic() - began:.2f} s")
        assert node.http("/ready") == (200, "ready\n"), "start returns once it is ready"
        assert debian.show(UNIT, "ActiveState", "StatusText", "User", "Type") == ["active", "Ready", "gyre", "notify"]
        assert node.status()["name"] == "from-env"
        with node.resp() as client:
            assert client.call("SET", "k", "v") == b"OK"
            maximum = int(client.call("CONFIG", "GET", "maxclients")[1])
        assert maximum > 10000, "the limit of open files was raised"
        first = debian.show(UNIT, "MainPID")[0]
        assert (debian.root / "var/lib/gyre/default").is_dir()

        debian.enter("systemctl", "reload", UNIT)
        harness.wait_for(lambda: debian.show(UNIT, "ActiveState") == ["active"], "the reload is over")
        assert debian.show(UNIT, "MainPID", "NRestarts") == [first, "0"]
        # It lives longer than WatchdogSec because it says so, and is started again once it does not.
        time.sleep(4)
        assert debian.show(UNIT, "MainPID") == [first]
        debian.enter("kill", "-STOP", first)
        harness.wait_for(lambda: debian.show(UNIT, "NRestarts", "ActiveState") == ["1", "active"],
                         "the watchdog started it again", SECONDS_MAX)
        assert node.http("/ready")[0] == 200

        began = time.monotonic()
        debian.enter("systemctl", "stop", UNIT)
        print(f"systemctl stop: {time.monotonic() - began:.2f} s")
        assert debian.show(UNIT, "ActiveState", "Result", "ExecMainStatus") == ["inactive", "success", "0"]

        # A configuration that is wrong is not tried over and over.
        (debian.root / "etc/gyre/wrong.toml").write_text("port = 'x'\n")
        debian.enter("systemctl", "start", "gyred@wrong", status=1)
        assert debian.show("gyred@wrong", "NRestarts", "ExecMainStatus") == ["0", "2"]

        # Removal stops what runs, and leaves what is the operator's until the package is purged.
        debian.enter("systemctl", "enable", "--now", UNIT)
        debian.enter("dpkg", "-r", "gyred")
        harness.wait_for(lambda: _refused(node), "the node is stopped")
        assert (debian.root / "etc/gyre/default.toml").exists() and (debian.root / "var/lib/gyre/default").exists()
        for path in ("default.env", "wrong.toml"):
            (debian.root / "etc/gyre" / path).unlink()
        debian.enter("dpkg", "-P", "gyred", "gyre")
        left = [path for path in ("etc/gyre", "var/lib/gyre", "usr/bin/gyred", "usr/bin/gyre",
                                  "lib/systemd/system/gyred@.service",
                                  "etc/systemd/system/multi-user.target.wants/gyred@default.service")
                if (debian.root / path).is_symlink() or (debian.root / path).exists()]
        assert left == []
        assert "gyre:" in (debian.root / "etc/passwd").read_text(), "its number is not given to another"


def _refused(node):
    try:
        node.http("/ready")
        return False
    except ConnectionRefusedError:
        return True


def test_a_program_is_built_against_the_installed_library(packages, ring, tmp_path):
    """On this machine's compilers, in a copy of it that goes with the test."""
    for name in ("upper", "work", "root"):
        (tmp_path / name).mkdir()
    example = "/usr/share/doc/libgyre-dev/examples/quickstart"
    node = ring.nodes[1].address
    script = f"""
set -e
mount -t overlay overlay -o lowerdir=/,upperdir={tmp_path}/upper,workdir={tmp_path}/work {tmp_path}/root
mount -t proc proc {tmp_path}/root/proc
mount --bind /dev {tmp_path}/root/dev
cat > {tmp_path}/root/try <<'TRY'
set -e
dpkg -i {packages['libgyre1']} {packages['libgyre-dev']} >&2
mkdir -p /try.d/cmake; cd /try.d
cmake -S {example} -B cmake -G Ninja >&2; cmake --build cmake >&2
c++ -std=c++20 -Wall -Wextra -Werror {example}/main.cc -o by-pkg-config $(pkg-config --cflags --libs gyre)
mkdir static; sed 's/gyre::client)/gyre::client_static)/' {example}/CMakeLists.txt > static/CMakeLists.txt
cp {example}/main.cc static; cmake -S static -B static/build -G Ninja >&2; cmake --build static/build >&2
for program in cmake/quickstart by-pkg-config static/build/quickstart; do
  ./$program {node} >&2; echo "$program $(ldd $program | grep -c libgyre.so.1 || true)"
done
dpkg -P libgyre-dev libgyre1 >&2
test ! -e /usr/include/gyre
TRY
chroot {tmp_path}/root bash /try
"""
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True,
                          timeout=600 * harness.PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert done.stdout.splitlines() == ["cmake/quickstart 1", "by-pkg-config 1", "static/build/quickstart 0"]
    assert done.stderr.count("(run ") == 3
