"""A terminal as a person sees it: tmux draws it, and tells what stands there."""

import os
import subprocess
import tempfile

import harness
from harness import binary

PROMPT = "127.0.0.1:"


class Tmux:
    """A shell `sh` in a terminal of 80 columns, in which `gyre` is the one under test and speaks to `node`."""

    def __init__(self, node, locale, columns=80, rows=24, **environment):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = self._folder.name
        self._tmux = ["tmux", "-S", f"{self.folder}/socket", "-f", "/dev/null", *(["-u"] if "UTF" in locale else [])]
        kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "PAGER", "LESS")}
        self._environment = {
            **kept, "LC_ALL": locale, "GYRE_CONNECT": node.address, "SHELL": "/bin/sh", "HOME": self.folder, "PS1": "$ ",
            "PATH": f"{os.path.dirname(binary('gyre'))}:{os.environ['PATH']}", **environment}
        self._run("new-session", "-d", "-x", str(columns), "-y", str(rows), "sh", check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._run("kill-server")
        self._folder.cleanup()

    def _run(self, *arguments, check=False):
        return subprocess.run([*self._tmux, *arguments], env=self._environment, capture_output=True, text=True,
                              errors="replace", check=check)

    def shown(self, colours=False):
        return self._run("capture-pane", "-p", *(["-e"] if colours else [])).stdout

    def cursor_shown(self):
        return self._run("display-message", "-p", "#{cursor_flag}").stdout.strip() == "1"

    def lines(self):
        return [line.rstrip() for line in self.shown().splitlines() if line.strip()]

    def keys(self, *keys):
        """Presses keys as tmux names them: Enter, Tab, C-c."""
        self._run("send-keys", *keys, check=True)

    def type(self, text):
        self._run("send-keys", "-l", text, check=True)

    def enter(self, text):
        self.type(text)
        self.keys("Enter")

    def wait(self, condition, what, seconds=20):
        """Until `condition`, a text or a function of the screen's text, holds."""
        holds = condition if callable(condition) else lambda shown: condition in shown
        try:
            harness.wait_for(lambda: holds(self.shown()), what, seconds)
        except AssertionError as failed:
            raise AssertionError(f"{failed}; on the screen:\n{self.shown()}") from failed

    def wait_last(self, text, what):
        """Until the last line begins with `text`."""
        self.wait(lambda _: bool(self.lines()) and self.lines()[-1].startswith(text), what)

    def shell(self):
        """Begins `gyre` without a command."""
        self.enter("clear; gyre")
        self.wait(f"connected to {PROMPT}", "the shell has begun")
        self.prompt()

    def prompt(self):
        self.wait(lambda _: bool(self.lines()) and self.lines()[-1].endswith("> ".rstrip()), "the prompt")
