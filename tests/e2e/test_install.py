"""What a user of the client library does: install Gyre somewhere, build a project against it, run it."""

import subprocess

import harness

BUILD = harness.BIN.parent


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=300 * harness.PATIENCE)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_quickstart_builds_against_an_installed_tree(ring, tmp_path):
    prefix, build = tmp_path / "prefix", tmp_path / "build"
    run("cmake", "--install", BUILD, "--prefix", prefix)
    headers = sorted(path.name for path in (prefix / "include").rglob("*.h"))
    assert headers == ["client.h", "feed.h", "operation.h", "result.h"], "the public headers alone"
    for program in ("gyred", "gyre"):
        assert "0.1.0" in run(prefix / "bin" / program, "--version")

    run("cmake", "-S", harness.ROOT / "client" / "examples" / "quickstart", "-B", build, "-G", "Ninja",
        f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    run("cmake", "--build", build)
    programs = [path for path in build.iterdir() if path.is_file() and path.stat().st_mode & 0o111]
    assert len(programs) == 1, programs
    assert run(programs[0], ring.nodes[1].address).strip()
