"""What every test gets: no network beyond this machine, and on request a Hub of its own."""

import atexit
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


# Hugging Face libraries read these once, when they are imported: they are set before any test module is.
HOME = tempfile.mkdtemp(prefix="hfcourse-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.update(HF_HOME=HOME, HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
# Two processes of two threads each on two cores wait for one another: a test took up to ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("HF_TOKEN", None)
sys.path.insert(0, str(Path(__file__).parent))

from huggingface_hub import constants  # noqa: E402
from huggingface_hub.utils import close_session  # noqa: E402
from loopback_hub import LoopbackHub  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one recipe share its small run, tests of one module its fixtures: such a group stays in one process."""
    for item in items:
        recipe = getattr(item, "callspec", None) and item.callspec.params.get("recipe")
        module = item.path.stem.split("_")[1] if item.path.parent.name == "recipes" else str(item.path)
        item.add_marker(pytest.mark.xdist_group(str(recipe or module)))


LOOPBACK = {None, "", "localhost", "127.0.0.1", "::1"}


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection or a name lookup that leaves the machine fails the test, whoever asked for it."""

    def guarded(call: Callable, host_of: Callable) -> Callable:
        def guard(*args, **kwargs):
            if (host := host_of(*args)) not in LOOPBACK:
                raise RuntimeError(f"a test reached out to {host!r}: tests use the loopback Hub (fixture `hub`)")
            return call(*args, **kwargs)

        return guard

    def peer(sock: socket.socket, address) -> str | None:
        return address[0] if sock.family in (socket.AF_INET, socket.AF_INET6) else None

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name), peer))
    monkeypatch.setattr(socket, "getaddrinfo", guarded(socket.getaddrinfo, lambda host, *_: host))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    """A running LoopbackHub: huggingface_hub in this process uses it, and so does a subprocess with `env=hub.env`."""
    with LoopbackHub() as server:
        home = tmp_path / "hf_home"
        for name, value in server.settings(home).items():
            monkeypatch.setenv(name, value)
        for constant, setting in {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, constant, setting)
        server.env = dict(os.environ)
        close_session()  # the shared client holds connections and proxy settings of the time before
        yield server
        close_session()
