"""A real Zabbix server for tests: PostgreSQL, zabbix_server, and the PHP front end for its API, in a folder of their own."""

import contextlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import urllib.request

import harness

FRONT_END = pathlib.Path("/usr/share/zabbix")
SCHEMA = pathlib.Path("/usr/share/zabbix-server-pgsql")
START_SECONDS_MAX = 60 * harness.PATIENCE
LOAD_SECONDS_MAX = 600 * harness.PATIENCE  # 20 s on an idle machine

POSTGRES = """
port = {port}
listen_addresses = '127.0.0.1'
unix_socket_directories = '{folder}'
fsync = off
synchronous_commit = off
full_page_writes = off
"""

SERVER = """
ListenIP=127.0.0.1
ListenPort={port}
DBHost=127.0.0.1
DBPort={database_port}
DBName=zabbix
DBUser=zabbix
LogType=console
PidFile={folder}/zabbix.pid
SocketDir={folder}
AllowRoot=1
CacheUpdateFrequency=1
StartPollers=3
StartPollersUnreachable=1
StartTrappers=1
StartPingers=0
StartDiscoverers=0
StartHTTPPollers=0
StartEscalators=1
StartAlerters=1
StartTimers=1
Timeout=10
"""

SITE = """<?php
$DB['TYPE'] = 'POSTGRESQL';
$DB['SERVER'] = '127.0.0.1';
$DB['PORT'] = '{database_port}';
$DB['DATABASE'] = 'zabbix';
$DB['USER'] = 'zabbix';
$DB['PASSWORD'] = '';
$DB['SCHEMA'] = '';
$DB['ENCRYPTION'] = false;
$DB['DOUBLE_IEEE754'] = true;
$ZBX_SERVER = '127.0.0.1';
$ZBX_SERVER_PORT = '{port}';
$ZBX_SERVER_NAME = 'test';
"""


class ApiError(Exception):
    """What the API refused, with its words."""


class Api:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/api_jsonrpc.php"
        self.token = None

    def call(self, method, **parameters):
        return self.request(method, parameters)

    def request(self, method, parameters):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        if self.token:
            body["auth"] = self.token
        request = urllib.request.Request(self.url, json.dumps(body).encode(), {"Content-Type": "application/json-rpc"})
        with urllib.request.urlopen(request, timeout=300 * harness.PATIENCE) as response:
            answer = json.load(response)
        if "error" in answer:
            raise ApiError(f"{method}: {answer['error'].get('data') or answer['error']}")
        return answer["result"]

    def import_template(self, text):
        kinds = {"createMissing": True, "updateExisting": True}
        names = ("discoveryRules", "graphs", "items", "templateDashboards", "templates", "triggers", "valueMaps")
        rules = {name: kinds for name in names}
        rules |= {"groups": kinds, "templateLinkage": {"createMissing": True}}
        assert self.call("configuration.import", format="yaml", source=text, rules=rules) is True

    def template(self, name):
        [found] = self.call("template.get", filter={"host": [name]}, output=["templateid"])
        return found["templateid"]

    def host(self, name, template, macros, interfaces=None):
        group = self.call("hostgroup.get", filter={"name": ["Zabbix servers"]})[0]["groupid"]
        interfaces = interfaces or [{"type": 1, "main": 1, "useip": 1, "ip": "127.0.0.1", "dns": "", "port": "10050"}]
        return self.call("host.create", host=name, groups=[{"groupid": group}], interfaces=interfaces,
                         templates=[{"templateid": self.template(template)}],
                         macros=[{"macro": macro, "value": value} for macro, value in macros.items()])["hostids"][0]

    def items(self, host):
        """{key: item}"""
        found = self.call("item.get", hostids=[host], webitems=False, output=[
            "itemid", "key_", "name", "lastvalue", "lastclock", "state", "error", "type", "history", "status"])
        return {item["key_"]: item for item in found}

    def check_now(self, items):
        self.request("task.create", [{"type": 6, "request": {"itemid": item}} for item in items])

    def problems(self, host):
        return {problem["name"]: problem for problem in self.call("problem.get", hostids=[host], output="extend")}


@contextlib.contextmanager
def running(process, ready, what, stop=signal.SIGTERM):
    """The process, from when `ready()` is true until it has ended by `stop`."""
    process.spawn()
    try:
        def up():
            assert process.alive(), f"{process.name} ended:\n{process.log()}"
            return ready()
        harness.wait_for(up, what, START_SECONDS_MAX, 0.1)
        yield process
    finally:
        # Never killed outright while it can be asked: what a server has forked would live on.
        process.signal(stop)
        try:
            process.wait_exit()
        finally:
            process.kill()


def command(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@contextlib.contextmanager
def postgres(folder):
    """The port of a PostgreSQL with Zabbix's tables in it."""
    [programs] = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    port, data = harness.free_port(), folder / "data"
    as_user = []
    if os.geteuid() == 0:  # it refuses to run as root
        # What changes its user loses the word that it is to die with the tests: it is said again.
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "setpriv", "--pdeathsig", "KILL"]
        entry = pwd.getpwnam("postgres")
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    command(*as_user, programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync",
            "--locale=C.UTF-8", cwd=folder)
    with open(data / "postgresql.conf", "a", encoding="utf-8") as file:
        file.write(POSTGRES.format(port=port, folder=folder))
    process = harness.Process("postgres", [*as_user, programs / "postgres", "-D", data], folder.parent / "postgres.log")
    place = ["-h", "127.0.0.1", "-p", port]
    with running(process, lambda: subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)],
                                                 check=False).returncode == 0,
                 "PostgreSQL answers", stop=signal.SIGINT):
        command(programs / "createuser", *place, "-U", "postgres", "zabbix")
        command(programs / "createdb", *place, "-U", "postgres", "-O", "zabbix", "zabbix")
        tables = [SCHEMA / f"{name}.sql.gz" for name in ("schema", "images", "data")]
        command("bash", "-o", "pipefail", "-c", 'zcat "${@:2}" | psql -1 -q -h 127.0.0.1 -p "$1" -U zabbix zabbix', "load",
                port, *tables, timeout=LOAD_SECONDS_MAX)
        # Without statistics a query of the import may run for minutes.
        command(programs / "psql", *place, "-q", "-U", "zabbix", "-c", "ANALYZE", "zabbix")
        yield port


@contextlib.contextmanager
def zabbix():
    """The Api of a Zabbix server with nothing but what it comes with."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gyre-zabbix-"))
    try:
        folder.chmod(0o755)
        (folder / "postgres").mkdir()
        with postgres(folder / "postgres") as database_port:
            with on_database(folder, database_port) as api:
                yield api
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def on_database(folder, database_port):
    port, web_port = harness.free_port(), harness.free_port()
    (folder / "server.conf").write_text(SERVER.format(port=port, database_port=database_port, folder=folder))
    site = folder / "site"
    shutil.copytree(FRONT_END, site, symlinks=False, ignore_dangling_symlinks=True)
    place = site / "include" / "classes" / "core" / "CConfigFile.php"
    text = place.read_text()
    assert "'/etc/zabbix/zabbix.conf.php'" in text
    place.write_text(text.replace("'/etc/zabbix/zabbix.conf.php'", f"'{folder}/site.php'"))
    (folder / "site.php").write_text(SITE.format(port=port, database_port=database_port))
    server = harness.Process("zabbix_server", ["zabbix_server", "-f", "-c", folder / "server.conf"], folder / "server.log")
    php = harness.Process("php", ["php", "-d", "post_max_size=16M", "-d", "max_execution_time=300", "-d",
                                  "max_input_time=300", "-d", "memory_limit=512M", "-S", f"127.0.0.1:{web_port}", "-t",
                                  site], folder / "php.log")
    api = Api(web_port)
    with running(server, lambda: "server #0 started" in server.log(400), "zabbix_server has started"):
        with running(php, lambda: api.call("apiinfo.version"), "Zabbix's API answers"):
            api.version = api.call("apiinfo.version")
            api.server_log = server.log
            api.token = api.call("user.login", username="Admin", password="zabbix")
            # The host that it comes with has no agent here.
            for host in api.call("host.get", output=["hostid"]):
                api.call("host.update", hostid=host["hostid"], status=1)
            yield api
