"""A real SLURM on this machine: one node, without accounting, that counts GPUs it does not have."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

# Where the commands of SLURM look, whoever starts them.
FOLDER = Path("/etc/slurm")
MARK = "# Written by the tests of v2l, which remove it.\n"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
NUM_GPUS = 32
LONGEST_START_S = 60

CONFIGURATION = """\
ClusterName=v2l
SlurmctldHost={host}(127.0.0.1)
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
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
# The node is taken to have what is written here: jobs ask for what a cluster has, and --jobs bounds how many run.
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=256 RealMemory=1000000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES State=UP
PartitionName=gpu Nodes=ALL State=UP
"""


def obstacle() -> str | None:
    """Why no SLURM can be started here, if it cannot."""
    if os.geteuid() != 0:
        return "a real SLURM is started by root"
    if missing := [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]:
        return f"{missing[0]} is missing: apt-get install slurm-wlm munge"
    if foreign := [path for path in _files() if path.exists() and not path.read_text().startswith(MARK)]:
        return f"{foreign[0]} is somebody else's"
    return None


class SlurmNode:
    """The node, from entering the context to leaving it; nothing of it is left then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: list[subprocess.Popen] = []

    def __enter__(self) -> "SlurmNode":
        try:
            self._configure()
            self._start("munged", "-F", "--force", *self._munge_files(), wait_for=self.folder / "munge.socket")
            self._start("slurmctld", "-D", "-i")
            self._start("slurmd", "-D")
            self._wait_until_idle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if len(self.daemons) == 3:
            self.command("scancel", "--user=root", check=False)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait()
        for path in _files():
            path.unlink(missing_ok=True)

    def command(self, *words: str, check: bool = True) -> str:
        """What a command of SLURM prints."""
        return subprocess.run(words, check=check, capture_output=True, text=True, timeout=60).stdout

    def jobs(self) -> dict[str, str]:
        """Ids of the jobs that run, by what the workflow says of them: rule or group, and wildcards."""
        lines = self.command("squeue", "--noheader", "--states=running", "--format=%i %k").splitlines()
        return {comment: job for job, comment in (line.split(maxsplit=1) for line in lines)}

    def _configure(self) -> None:
        for name in ("state", "spool", "gpus"):
            (self.folder / name).mkdir()
        for number in range(NUM_GPUS):  # counted, but of no use: plain files
            (self.folder / "gpus" / f"gpu{number}").touch()
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o600)
        FOLDER.mkdir(exist_ok=True)
        slurm, gres = _files()
        slurm.write_text(
            MARK + CONFIGURATION.format(host=socket.gethostname().split(".")[0], folder=self.folder, gpus=NUM_GPUS)
        )
        gres.write_text(f"{MARK}Name=gpu File={self.folder}/gpus/gpu[0-{NUM_GPUS - 1}]\n")

    def _munge_files(self) -> list[str]:
        names = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        return [f"--{option}={self.folder}/munge.{suffix}" for option, suffix in names.items()]

    def _start(self, program: str, *options: str, wait_for: Path | None = None) -> None:
        command = ["setpriv", "--pdeathsig", "TERM", program, *options]  # none outlives a test run that is killed
        with self._log(program).open("wb") as log:
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

    def _log(self, program: str) -> Path:
        return self.folder / f"{program}.log"

    def _logs(self) -> str:
        return "\n".join(f"{path.name}:\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log")))


def _files() -> tuple[Path, Path]:
    return FOLDER / "slurm.conf", FOLDER / "gres.conf"


def _path() -> str:
    """Debian keeps daemons where only root's shell looks."""
    return f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
