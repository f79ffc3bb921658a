"""A real Nagios and a real Icinga 2 watch real nodes with check_gyre and the configuration that is shipped with it; and
Debian's own plugins for Redis and memcached look at a node.

Run by scripts/test --integrations, which installs what this needs; the name keeps it out of a plain run of pytest.
"""

import getpass
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

import harness

SHIPPED = harness.ROOT / "scripts" / "deploy" / "nagios"
PLUGINS = pathlib.Path("/usr/lib/nagios/plugins")
SERVICES = {"Gyre ready", "Gyre ring", "Gyre memory", "Gyre hit rate", "Gyre latency", "Gyre connections", "Gyre clock",
            "Gyre replication"}
SECONDS_MAX = 90 * harness.PATIENCE

NAGIOS = """
cfg_file={folder}/templates.cfg
cfg_file={folder}/gyre.cfg
resource_file={folder}/resource.cfg
log_file={folder}/nagios.log
nagios_user={user}
nagios_group={group}
interval_length=4
check_result_path={folder}/results
query_socket={folder}/query
command_file={folder}/commands
lock_file={folder}/lock
temp_file={folder}/temp
temp_path={folder}
status_file={folder}/status.dat
state_retention_file={folder}/retention.dat
object_cache_file={folder}/objects.cache
precached_object_file={folder}/objects.precache
log_archive_path={folder}
status_update_interval=1
service_inter_check_delay_method=n
service_interleave_factor=1
use_syslog=0
check_for_updates=0
enable_notifications=1
illegal_macro_output_chars=`~$&|'"<>
"""

TEMPLATES = """
define timeperiod {{
    timeperiod_name  always
    alias            always
    monday           00:00-24:00
    tuesday          00:00-24:00
    wednesday        00:00-24:00
    thursday         00:00-24:00
    friday           00:00-24:00
    saturday         00:00-24:00
    sunday           00:00-24:00
}}
define command {{
    command_name  tell
    command_line  /usr/bin/printf '%s,%s,%s,%s\\n' '$NOTIFICATIONTYPE$' '$SERVICEDESC$' '$SERVICESTATE$' '$SERVICEOUTPUT$' >> {folder}/told
}}
define command {{
    command_name  tell-not
    command_line  /bin/true
}}
define command {{
    command_name  check-host-alive
    command_line  /bin/true
}}
define contactgroup {{
    contactgroup_name  admins
    members            pager
}}
define contact {{
    contact_name                   pager
    service_notification_period    always
    host_notification_period       always
    service_notification_options   w,u,c,r
    host_notification_options      d,r
    service_notification_commands  tell
    host_notification_commands     tell-not
}}
define host {{
    name                   generic-host
    register               0
    check_period           always
    active_checks_enabled  0
    max_check_attempts     1
    notification_period    always
    contacts               pager
}}
define service {{
    name                   generic-service
    register               0
    check_period           always
    notification_period    always
    notification_interval  0
    contacts               pager
}}
"""


def user(name):
    """(user, group) that a daemon started by us is to run as."""
    if os.geteuid() != 0:
        name = getpass.getuser()
    entry = pwd.getpwnam(name)
    return entry.pw_name, entry.pw_gid


def as_user(name):
    """The words before a command that make it run as that user, and die with the tests."""
    if os.geteuid() != 0:
        return []
    owner, group = user(name)
    return ["setpriv", f"--reuid={owner}", f"--regid={group}", "--init-groups", "setpriv", "--pdeathsig", "KILL"]


@pytest.fixture
def folder(request):
    path = pathlib.Path(tempfile.mkdtemp(prefix="gyre-nagios-"))
    yield path
    if getattr(request.node, "failed_in_call", False):
        for log in [*path.glob("*.log"), *path.glob("out"), *path.glob("told")]:
            print(f"---- {log}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-60:]))
    # A check that was under way outlives the daemon by a moment, and would make the folder anew.
    harness.wait_for(lambda: subprocess.run(["pgrep", "-f", path], stdout=subprocess.DEVNULL).returncode == 1,
                     f"nothing runs in {path}")
    shutil.rmtree(path, ignore_errors=True)


def give(folder, name):
    """The folder and all in it, with the plugin, become the user's."""
    (folder / "plugins").mkdir()
    shutil.copy(SHIPPED / "check_gyre", folder / "plugins")
    (folder / "samples").mkdir()
    owner, group = user(name)
    for path in [folder, *folder.rglob("*")]:
        shutil.chown(path, owner, group)
    return owner


def with_host(text, node):
    """The shipped Nagios configuration, with our node for its example."""
    text, one = re.subn(r"(address +)10\.0\.0\.1", rf"\g<1>{node.host}", text)
    text, two = re.subn(r"(_GYRE_HTTP_PORT +)7780", rf"\g<1>{node.http_port}", text)
    assert (one, two) == (1, 1)
    return text


class Nagios:
    def __init__(self, folder, node):
        self.folder = folder
        owner, group = user("nagios")
        (folder / "results").mkdir()
        (folder / "nagios.cfg").write_text(NAGIOS.format(folder=folder, user=owner, group=group))
        (folder / "templates.cfg").write_text(TEMPLATES.format(folder=folder))
        (folder / "gyre.cfg").write_text(with_host((SHIPPED / "gyre.cfg").read_text(), node))
        (folder / "resource.cfg").write_text(f"$USER1$={folder}/plugins\n")
        give(folder, "nagios")
        checked = subprocess.run(["nagios4", "-v", folder / "nagios.cfg"], capture_output=True, text=True)
        assert checked.returncode == 0 and "Total Warnings: 0" in checked.stdout, checked.stdout
        self.process = harness.Process("nagios4", [*as_user("nagios"), "nagios4", folder / "nagios.cfg"], folder / "out",
                                       env=dict(os.environ, MP_STATE_PATH=str(folder / "samples"))).spawn()

    def close(self):
        self.process.signal(signal.SIGTERM)
        try:
            self.process.wait_exit()
        finally:
            self.process.kill()

    def states(self):
        """{service: (hard state, output, performance data)} of those checked."""
        states = {}
        path = self.folder / "status.dat"
        text = path.read_text(errors="replace") if path.exists() else ""
        for block in re.findall(r"^servicestatus \{\n(.*?)^\t\}", text, flags=re.M | re.S):
            fields = dict(line.strip().split("=", 1) for line in block.splitlines() if "=" in line)
            if fields["has_been_checked"] == "1":
                states[fields["service_description"]] = (
                    int(fields["last_hard_state"]), fields["plugin_output"], fields["performance_data"])
        return states

    def told(self, kind, service):
        path = self.folder / "told"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(f"{kind},{service},")]

    def wait_told(self, kind, service):
        return harness.wait_for(lambda: self.told(kind, service), f"{kind} of {service}", SECONDS_MAX, 0.1)[-1]


def test_nagios_sees_a_death_and_a_recovery(folder):
    with harness.Ring(3, {"--evict-after": "1h"}) as ring:
        watched, other = ring.nodes[0], ring.nodes[2]
        nagios = Nagios(folder, watched)
        try:
            harness.wait_for(lambda: set(nagios.states()) == SERVICES, "every service was checked", SECONDS_MAX)
            quiet = SERVICES - {"Gyre latency"}  # how long a turn takes is up to whatever else this machine does
            harness.wait_for(lambda: all(nagios.states()[name][0] == 0 for name in quiet), "all are OK", SECONDS_MAX)
            assert all(performance for _, _, performance in nagios.states().values())
            assert not [name for name in quiet if nagios.told("PROBLEM", name)]

            other.kill()
            told = nagios.wait_told("PROBLEM", "Gyre ring")
            assert ",WARNING," in told and "n3 (127.0.0.1:" in told and "is dead since" in told
            ring.restart(other)
            assert ",OK," in nagios.wait_told("RECOVERY", "Gyre ring")

            watched.kill()
            told = nagios.wait_told("PROBLEM", "Gyre ready")
            assert ",CRITICAL," in told and "nothing listens on" in told
            harness.wait_for(lambda: nagios.states()["Gyre clock"][0] == 3, "the others are UNKNOWN", SECONDS_MAX)
            assert not [line for name in quiet - {"Gyre ready"} for line in nagios.told("PROBLEM", name)
                        if ",UNKNOWN," in line], "one message was to be sent, not eight"
            ring.restart(watched)
            assert ",OK," in nagios.wait_told("RECOVERY", "Gyre ready")
        finally:
            nagios.close()


def test_the_shipped_configuration_fits_debians(folder):
    """Unchanged, beside the files that Debian's Nagios starts with."""
    shutil.copytree("/etc/nagios4", folder / "nagios4")
    main = folder / "nagios4" / "nagios.cfg"
    main.write_text(main.read_text().replace("/etc/nagios4/", f"{folder}/nagios4/"))
    (folder / "nagios4" / "conf.d").mkdir(exist_ok=True)
    shutil.copy(SHIPPED / "gyre.cfg", folder / "nagios4" / "conf.d")
    give(folder, "nagios")
    checked = subprocess.run(["nagios4", "-v", main], capture_output=True, text=True)
    assert checked.returncode == 0 and "Total Errors:   0" in checked.stdout, checked.stdout
    assert not [line for line in checked.stdout.splitlines() if "yre" in line and "arning" in line], checked.stdout


ICINGA = """
const NodeName = "watcher"
const ZoneName = NodeName
const PluginDir = "{folder}/plugins"
object Endpoint NodeName {{ host = NodeName }}
object Zone ZoneName {{ endpoints = [ NodeName ] }}
object CheckerComponent "checker" {{}}
object PerfdataWriter "values" {{
  host_perfdata_path = "{folder}/host-values"
  service_perfdata_path = "{folder}/service-values"
  host_temp_path = "{folder}/host-values.part"
  service_temp_path = "{folder}/service-values.part"
  service_format_template = "$host.name$;$service.name$;$service.state$;$service.output$;$service.perfdata$"
  rotation_interval = 1s
}}
include "gyre.conf"
object CheckCommand "none" {{ command = [ "/bin/true" ] }}
object Host "n1" {{
  address = "127.0.0.1"
  check_command = "none"
  vars.gyre = true
  vars.gyre_port = {port}
  vars.gyre_modes.memory = {{ gyre_warning = [ "memory_used=~:0", "evictions=5" ] }}
}}
"""


def test_icinga_runs_each_mode(folder, ring):
    node = ring.nodes[0]
    shipped = (SHIPPED / "gyre.conf").read_text()
    # Sooner than a site would: the services, not their pace, are what is looked at.
    (folder / "gyre.conf").write_text(re.sub("check_interval = (1m|30s)", "check_interval = 2s", shipped))
    (folder / "icinga2.conf").write_text(ICINGA.format(folder=folder, port=node.http_port))
    places = [f"-D{name}={folder}/{name}" for name in ("DataDir", "LogDir", "CacheDir", "InitRunDir", "SpoolDir")]
    for place in places:
        pathlib.Path(place.split("=")[1]).mkdir()
    owner = give(folder, "nagios")
    group = subprocess.run(["id", "-gn", owner], capture_output=True, text=True, check=True).stdout.strip()
    common = ["-c", folder / "icinga2.conf", *places, f"-DPidPath={folder}/pid"]
    environment = dict(os.environ, ICINGA2_USER=owner, ICINGA2_GROUP=group, MP_STATE_PATH=str(folder / "samples"))
    checked = subprocess.run(["icinga2", "daemon", "-C", *common], capture_output=True, text=True, env=environment)
    assert checked.returncode == 0 and "8 Services" in checked.stdout, checked.stdout + checked.stderr
    icinga = harness.Process("icinga2", [*as_user("nagios"), "icinga2", "daemon", *common], folder / "out",
                             env=environment).spawn()

    def results():
        assert icinga.alive(), icinga.log()
        found = {}
        for path in sorted(folder.glob("service-values*")):
            for line in path.read_text(errors="replace").splitlines():
                parts = line.split(";", 4)
                if len(parts) == 5:
                    found[parts[1]] = parts[2:]
        return found

    try:
        want = {f"gyre-{mode}" for mode in ("ready", "ring", "memory", "hitrate", "latency", "connections", "clock",
                                            "replication")}
        harness.wait_for(lambda: set(results()) == want, "each service has a result", SECONDS_MAX, 0.2)
        found = results()
        assert all(found[name][0] == "OK" for name in want - {"gyre-memory", "gyre-latency"}), found
        assert found["gyre-memory"][0] == "WARNING", "the thresholds of the host were not passed on"
        assert "memory_used=" in found["gyre-memory"][2] and "alive=3" in found["gyre-ring"][2]
    finally:
        icinga.signal(signal.SIGTERM)
        try:
            icinga.wait_exit()
        finally:
            icinga.kill()


def plugin(name, *arguments):
    done = subprocess.run([PLUGINS / name, "-H", "127.0.0.1", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60 * harness.PATIENCE)
    return done.returncode, done.stdout + done.stderr


class TestDebiansPlugins:
    def test_check_redis(self, node):
        with node.resp() as client:
            client.pipeline([("SET", f"k{n}", n) for n in range(100)] + [("GET", f"k{n}") for n in range(100)])
        port = node.resp_port
        state, text = plugin("check_redis", "-p", port, "-T", "5,10", "-A", "-R", "50:,10:")
        assert state == 0 and "1 databases (db0) with 100 keys" in text and "hitrate=100" in text, text
        for figure in ("connected_clients", "used_memory", "evicted_keys", "uptime_in_seconds"):
            assert f"{figure}=" in text
        state, text = plugin("check_redis", "-p", port, "-m", "80,90", "-M", "256M")
        assert state == 0 and "memory use is" in text, text
        state, text = plugin("check_redis", "-p", port, "-a", "connected_clients,blocked_clients", "-w", "1000,1",
                             "-c", "2000,2")
        assert state == 0, text
        state, text = plugin("check_redis", "-p", port, "-q", "GET,k7,WARN:>5,CRIT:>100")
        assert state == 1 and "k7 is 7 > 5" in text, text

    def test_replication_delay_is_a_replicas_and_a_node_is_a_master(self, node, redis):
        ours, theirs = (plugin("check_redis", "-p", port, "-r", "10,20") for port in (node.resp_port, redis))
        assert ours[0] == theirs[0] == 2
        assert all("replication_delay data is missing" in text for _, text in (ours, theirs))

    def test_check_memcached(self, node):
        for _ in range(2):
            state, text = plugin("check_memcached", "-p", node.memcached_port)
            assert state == 0 and text.startswith("OK"), text

    @pytest.mark.parametrize("arguments", [
        ("check_tcp", "-p", "{resp_port}", "-E", "-s", "PING\\r\\n", "-e", "+PONG", "-q", "QUIT\\r\\n"),
        ("check_tcp", "-p", "{memcached_port}", "-E", "-s", "version\\r\\nquit\\r\\n", "-e", "VERSION"),
        ("check_http", "-p", "{http_port}", "-u", "/ready", "-s", "ready"),
    ])
    def test_ports(self, node, arguments):
        state, text = plugin(*(word.format(**vars(node)) for word in arguments))
        assert state == 0, text

    def test_a_stopped_node_fails_them(self, tmp_path):
        node = harness.Node("n1", tmp_path).start()
        assert node.terminate() == 0
        assert plugin("check_redis", "-p", node.resp_port)[0] == 2
        assert plugin("check_memcached", "-p", node.memcached_port)[0] == 2
