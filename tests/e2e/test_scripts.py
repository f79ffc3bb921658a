"""The checkers of the tree find what they look for: each gets a small tree with one fault in it."""

import shutil
import subprocess

import pytest

import harness

SOUND = {
    "proto/slot.h": "#pragma once\n#include <cstdint>\nusing Slot = std::uint16_t;\n",
    "server/storage/shard.h": '#pragma once\n#include "proto/slot.h"\nstruct Shard { Slot slot; };\n',
    "server/net/loop.h": "#pragma once\nstruct Loop {};\n",
    "client/gyre/client.h": "#pragma once\n#include <string>\nstruct Client { std::string name; };\n",
}
BAD = "server/storage/bad.h"
FAULTS = {
    "a module that it may not know": (BAD, '#pragma once\n#include "net/loop.h"\n', "storage may not know net"),
    "gossip where votes decide": ("server/cluster/leases/bad.h", '#pragma once\n#include "cluster/view.h"\n',
                                  "leases may not know cluster"),
    "the way instead of the module": (BAD, '#pragma once\n#include "../net/loop.h"\n', "say the module"),
    "no module at all": (BAD, '#pragma once\n#include "shard.h"\n', 'included as "<module>/name.h"'),
    "a socket where decisions are": ("server/cluster/control/bad.cc", "#include <sys/socket.h>\n", "does not belong in"),
    "a public header that needs another": ("client/gyre/client.h", '#include "proto/slot.h"\n', "installed alone"),
    "a header that needs another first": (BAD, "#pragma once\nstruct Bad { Slot slot; };\n", "not compile alone"),
    "a folder of its own": ("misc/bad.h", "#pragma once\n", "misc/: not one of the top-level folders"),
}


@pytest.fixture
def check_layers(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(harness.ROOT / "scripts" / "check-layers", tmp_path / "scripts")

    def check(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
        return subprocess.run([tmp_path / "scripts" / "check-layers"], capture_output=True, text=True)

    return check


def test_a_sound_tree_passes(check_layers):
    done = check_layers(SOUND)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(check_layers, fault):
    path, text, finding = FAULTS[fault]
    done = check_layers({**SOUND, path: text})
    assert done.returncode == 1 and finding in done.stdout, done.stdout + done.stderr


class TestInstallDeps:
    def run(self, *arguments):
        return subprocess.run([harness.ROOT / "scripts" / "install-deps", *arguments], capture_output=True, text=True)

    def test_nothing_to_do_here(self):
        for arguments in ((), ("build",), ("test", "--check")):
            done = self.run(*arguments)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done

    def test_a_mistake_is_said(self):
        done = self.run("everything")
        assert done.returncode == 1 and "everything" in done.stderr
