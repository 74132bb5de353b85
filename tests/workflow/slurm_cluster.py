"""A real SLURM on this machine, without accounting: two hosts that are network namespaces, or one that is the machine.

Its nodes count GPUs that they do not have.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Where the commands of SLURM look, whoever starts them.
FOLDER = Path("/etc/slurm")
MARK = "# Written by the tests of v2l, which remove it.\n"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
NUM_GPUS = 32
LONGEST_START_S = 60

CONFIGURATION = """\
ClusterName=v2l
SlurmctldHost={hosts[0].name}({hosts[0].address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its first permission has expired, by default two minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=30
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0
MessageTimeout=60
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
# A node is taken to have what is written here: jobs ask for what a cluster has, and --jobs bounds how many run.
SlurmdParameters=config_overrides
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes=ALL Default=YES State=UP
PartitionName=gpu Nodes=ALL State=UP
"""


NODE = "NodeName={host.name} NodeAddr={host.address} CPUs=256 RealMemory=1000000 Gres=gpu:{gpus} State=UNKNOWN"


@dataclass(frozen=True)
class Host:
    """prefix: of a command that is run there."""

    name: str
    address: str
    prefix: tuple[str, ...] = ()


@contextmanager
def make_hosts(folder: Path) -> Iterator[Sequence[Host]]:
    """Two hosts with a network between them and nothing beyond it; where none can be made, this machine."""
    ends = {"v2l-a": "10.77.0.1", "v2l-b": "10.77.0.2"}
    first, second = ends
    table = folder / "hosts"
    table.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in ends.items()))
    named = 'set -e; hostname "$1"; mount --bind "$2" /etc/hosts; shift 2; exec "$@"'
    try:
        for name in ends:
            _ip("netns", "delete", name, check=False)  # left by a test run that was killed
            _ip("netns", "add", name)
        _ip("link", "add", first, "netns", first, "type", "veth", "peer", "name", second, "netns", second)
        for name, address in ends.items():
            _ip("-n", name, "address", "add", f"{address}/24", "dev", name)
            for device in ("lo", name):
                _ip("-n", name, "link", "set", device, "up")
        inside = ("unshare", "--uts", "--mount", "sh", "-c", named, "sh")
        hosts = [
            Host(name, address, ("nsenter", f"--net=/run/netns/{name}", *inside, name, str(table)))
            for name, address in ends.items()
        ]
        for host in hosts:
            subprocess.run([*host.prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        hosts = [Host(socket.gethostname().split(".")[0], "127.0.0.1")]
    try:
        yield hosts
    finally:
        for name in ends:
            _ip("netns", "delete", name, check=False)


def _ip(*words: str, check: bool = True) -> None:
    if check or shutil.which("ip", path=_path()):
        subprocess.run(["ip", *words], check=check, capture_output=True, env={**os.environ, "PATH": _path()})


def obstacle() -> str | None:
    """Why no SLURM can be started here, if it cannot."""
    if os.geteuid() != 0:
        return "a real SLURM is started by root"
    if missing := [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]:
        return f"{missing[0]} is missing: apt-get install slurm-wlm munge"
    if foreign := [path for path in _files() if path.exists() and not path.read_text().startswith(MARK)]:
        return f"{foreign[0]} is somebody else's"
    return None


class SlurmCluster:
    """The cluster, from entering the context to leaving it; nothing of it is left then. The first host has it all."""

    def __init__(self, folder: Path, hosts: Sequence[Host]) -> None:
        self.folder = folder
        self.hosts = hosts
        self.daemons: list[subprocess.Popen] = []

    def __enter__(self) -> "SlurmCluster":
        try:
            self._configure()
            first = self.hosts[0]
            self._start(first, "munged", "-F", "--force", *self._munge_files(), wait_for=self.folder / "munge.socket")
            self._start(first, "slurmctld", "-D", "-i")
            for host in self.hosts:
                self._start(host, "slurmd", "-D", "-N", host.name)
            self._wait_until_idle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if len(self.daemons) == 2 + len(self.hosts):
            self.command("scancel", "--user=root", check=False)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait()
        for path in _files():
            path.unlink(missing_ok=True)

    def command(self, *words: str, check: bool = True) -> str:
        """What a command of SLURM prints."""
        return subprocess.run(
            [*self.hosts[0].prefix, *words], check=check, capture_output=True, text=True, timeout=60
        ).stdout

    def jobs(self) -> dict[str, str]:
        """Ids of the jobs that run, by what the workflow says of them: rule or group, and wildcards."""
        lines = self.command("squeue", "--noheader", "--states=running", "--format=%i %k").splitlines()
        return {comment: job for job, comment in (line.split(maxsplit=1) for line in lines)}

    def _configure(self) -> None:
        for name in ("state", "gpus"):
            (self.folder / name).mkdir()
        for number in range(NUM_GPUS):  # counted, but of no use: plain files
            (self.folder / "gpus" / f"gpu{number}").touch()
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o600)
        FOLDER.mkdir(exist_ok=True)
        slurm, gres = _files()
        nodes = "\n".join(NODE.format(host=host, gpus=NUM_GPUS) for host in self.hosts)
        slurm.write_text(MARK + CONFIGURATION.format(hosts=self.hosts, nodes=nodes, folder=self.folder))
        gres.write_text(f"{MARK}Name=gpu File={self.folder}/gpus/gpu[0-{NUM_GPUS - 1}]\n")

    def _munge_files(self) -> list[str]:
        names = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        return [f"--{option}={self.folder}/munge.{suffix}" for option, suffix in names.items()]

    def _start(self, host: Host, program: str, *options: str, wait_for: Path | None = None) -> None:
        # None outlives a test run that is killed.
        command = ["setpriv", "--pdeathsig", "TERM", *host.prefix, program, *options]
        with (self.folder / f"{program}-{host.name}.log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PATH": _path()})
        self.daemons.append(daemon)
        deadline = time.monotonic() + LONGEST_START_S
        while wait_for is not None and not wait_for.exists():
            assert daemon.poll() is None, self._logs()
            assert time.monotonic() < deadline, self._logs()
            time.sleep(0.05)

    def _wait_until_idle(self) -> None:
        deadline = time.monotonic() + LONGEST_START_S
        while set(self.command("sinfo", "--noheader", "--format=%T", check=False).split()) != {"idle"}:
            assert all(daemon.poll() is None for daemon in self.daemons), self._logs()
            assert time.monotonic() < deadline, self._logs()
            time.sleep(0.2)

    def _logs(self) -> str:
        return "\n".join(f"{path.name}:\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log")))


def _files() -> tuple[Path, Path]:
    return FOLDER / "slurm.conf", FOLDER / "gres.conf"


def _path() -> str:
    """Debian keeps daemons where only root's shell looks."""
    return f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
