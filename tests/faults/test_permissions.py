"""Another user's data directory: every answer is an error of ours that says what was not permitted."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import BlixardError, ExitCode
from blixard.home import Home
from blixard.place import open_input, open_output
from blixard.store.history import History
from blixard.store.sqlite.store import SqliteStore

NOBODY = 65534


def as_nobody(action: Callable[[], object]) -> int:
    """Run `action` as a user without rights; its exit code, 0 when it succeeds, 99 for an error that is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            action()
            code = 0
        except BlixardError as error:
            code = int(error.exit_code) if "permi" in error.message else 98
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that others can reach; those of pytest are for their owner alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.root
def test_what_may_not_be_done_is_a_storage_error(public: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    data = public / "data"
    Home(data).create("web")
    (data / "secret").mkdir()
    data.chmod(0o700)
    actions: dict[str, Callable[[], object]] = {
        "list": lambda: Home(data).clusters(),
        "cluster": lambda: Home(data).cluster("web"),
        "current": lambda: Home(data).current(),
        "create": lambda: Home(data).create("db"),
        "delete": lambda: Home(data).delete("web"),
        "sweep": lambda: Home(data).sweep(),
        "lock": lambda: Home(data).set_current("web"),
        "store": lambda: SqliteStore(data / "clusters" / "web" / "state.db"),
        "history": lambda: History(data / "clusters" / "web" / "history.db"),
        "output": lambda: open_output(str(data / "export.json"), home=Home(public / "none")),
        "input": lambda: open_input(str(data / "export.json")),
        "make": lambda: files.make_dir(data / "secret" / "inner"),
        "remove": lambda: files.remove_tree(data / "secret", beneath=public),
        "space": lambda: files.free_bytes(data / "secret"),
        "write": lambda: files.atomic_write(data / "file", b""),
    }
    found = {name: as_nobody(action) for name, action in actions.items()}

    assert found == dict.fromkeys(actions, int(ExitCode.STORAGE))
