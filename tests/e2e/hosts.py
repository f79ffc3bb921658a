"""Hosts that share a switch, on one machine, and what may be broken between them.

A host is a network namespace with an address of 198.18.0.0/15 (RFC 2544: for tests, routed nowhere); the switch is a
bridge. What is broken is broken on the switch, by nftables rules of the bridge family, so that a host sees what it would
see with a cut cable: silence, and no error of its own send. The machine itself is on the switch, too, as its last
address, and never cut off: from there the tests start, watch and judge.

    hosts = Hosts(3)
    hosts.within(0)               the words before a command that make it run on the first host
    hosts.cut(0, 1)               what 0 sends to 1 is lost; the other direction is not touched
    hosts.isolate(2); hosts.heal()
    index = hosts.attach()        one more, with an address that none had before; hosts.detach(index) takes it away

Everything made here carries the pid of this process in its name. It goes when `close` is called or the process ends;
what a killed process left is taken away by the next one (`sweep`).
"""

import atexit
import ipaddress
import os
import pathlib
import shutil
import subprocess

_PREFIX = "gyre-"
_SUBNETS = list(ipaddress.ip_network("198.18.0.0/15").subnets(new_prefix=24))
_RUN_NETNS = pathlib.Path("/run/netns")


def _run(*words, script=None, check=True):
    done = subprocess.run([str(word) for word in words], input=script, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.returncode}"
                           + (f"\n{script}" if script else ""))
    return done


def unavailable():
    """Why there can be no hosts here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool, package in (("ip", "iproute2"), ("nft", "nftables"), ("nsenter", "util-linux")):
        if shutil.which(tool) is None:
            return f"{tool} is missing: apt-get install {package}, or scripts/install-deps test"
    try:
        Hosts(1).close()
    except RuntimeError as error:
        return f"this kernel allows no hosts of our own: {error}"
    return None


def sweep():
    """Takes away what processes that no longer run have left."""
    for path in _RUN_NETNS.glob(_PREFIX + "*"):
        owner = path.name[len(_PREFIX):].split("-")[0]
        if owner.isdigit() and not pathlib.Path(f"/proc/{owner}").exists():
            _run("ip", "netns", "del", path.name, check=False)
            _run("ip", "link", "del", f"gy{owner}b", check=False)
            _run("nft", "delete", "table", "bridge", f"gyre{owner}", check=False)


class Hosts:
    """`count` hosts, numbered from 0. One set of hosts at a time in a process."""

    def __init__(self, count):
        sweep()
        self.pid = os.getpid()
        self.count = 0
        self.bridge = f"gy{self.pid}b"
        self.table = f"gyre{self.pid}"
        self.rules = []
        taken = _run("ip", "-o", "addr").stdout + _run("ip", "route").stdout
        self.subnet = next(net for net in _SUBNETS[self.pid % len(_SUBNETS):] + _SUBNETS
                           if str(net.network_address)[:-1] not in taken)
        atexit.register(self.close)
        try:
            self._build(count)
        except BaseException:
            self.close()
            raise

    def _build(self, count):
        _run("ip", "link", "add", self.bridge, "type", "bridge")
        _run("ip", "addr", "add", f"{self.machine_address}/24", "dev", self.bridge)
        _run("ip", "link", "set", self.bridge, "up")
        for _ in range(count):
            self.attach()
        _run("nft", "-f", "-", script=f"table bridge {self.table} {{\n chain forward {{\n"
             "  type filter hook forward priority 0; policy accept;\n }\n}\n")

    def attach(self):
        """One more host; its number."""
        index = self.count
        assert index + 1 < 254, "the subnet has no more addresses"
        self.count += 1
        name, port = self._namespace(index), self._port(index)
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", port, "master", self.bridge, "up")
        _run("ip", "-n", name, "addr", "add", f"{self.address(index)}/24", "dev", "eth0")
        _run("ip", "-n", name, "link", "set", "eth0", "up")
        _run("ip", "-n", name, "link", "set", "lo", "up")
        return index

    def detach(self, index):
        """Takes the host away. Its number and address are not given again."""
        _run("ip", "netns", "del", self._namespace(index), check=False)
        # The namespace takes it along, but later, and the next hosts may want its name.
        _run("ip", "link", "del", self._port(index), check=False)

    @property
    def machine_address(self):
        """The machine's own on the switch."""
        return str(self.subnet[254])

    def _namespace(self, index):
        return f"{_PREFIX}{self.pid}-{index}"

    def _port(self, index):
        return f"gy{self.pid}v{index}"

    def address(self, index):
        return str(self.subnet[index + 1])

    def within(self, index):
        """The words that make a command run on the host. The process is the command's own, not a parent of it."""
        return ["nsenter", f"--net={_RUN_NETNS / self._namespace(index)}"]

    # ---- What is broken: rules add up until heal().

    def cut(self, source, target):
        """Nothing that `source` sends arrives at `target`."""
        self._add(f'iifname "{self._port(source)}" oifname "{self._port(target)}" ether type ip drop')

    def cut_outgoing(self, host):
        """Nothing that the host sends arrives anywhere; it hears all."""
        self._add(f'iifname "{self._port(host)}" ether type ip drop')

    def cut_incoming(self, host):
        """The host hears nothing; what it sends arrives."""
        self._add(f'oifname "{self._port(host)}" ether type ip drop')

    def isolate(self, host):
        """Its cable is cut."""
        self.cut_outgoing(host)
        self.cut_incoming(host)

    def partition(self, left, right):
        """No packet from a host of `left` to one of `right`, nor back."""
        for one in left:
            for other in right:
                self.cut(one, other)
                self.cut(other, one)

    def lose(self, percent, datagrams_only=False):
        """Each packet (or each datagram of UDP) between any two hosts is lost with this probability."""
        kind = "ip protocol udp" if datagrams_only else "ether type ip"
        self._add(f"{kind} numgen random mod 100 < {int(percent)} counter drop")

    def heal(self):
        self.rules = []
        self._apply()

    def _add(self, rule):
        self.rules.append(rule)
        self._apply()

    def _apply(self):
        chain = f"bridge {self.table} forward"
        _run("nft", "-f", "-", script="".join(
            [f"flush chain {chain}\n"] + [f"add rule {chain} {rule}\n" for rule in self.rules]))

    def close(self):
        if os.getpid() != self.pid:  # a child of ours that ends
            return
        atexit.unregister(self.close)
        _run("nft", "delete", "table", "bridge", self.table, check=False)
        for index in range(self.count):
            self.detach(index)
        _run("ip", "link", "del", self.bridge, check=False)
