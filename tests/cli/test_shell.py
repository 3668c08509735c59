"""The program from a script, from cron and over ssh: channels that are closed, full or gone; signals; modes."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.shell import BLIXARD, blixard, cron_environment


@pytest.fixture(scope="session")
def made_by_cron(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the cluster `lab` and the VM `web-1`, made as cron would."""
    folder = tmp_path_factory.mktemp("made")
    data_dir, image = folder / "data", folder / "image.raw"
    image.write_bytes(b"content" * 10_000)
    for arguments in (
        ["cluster", "init", "lab"],
        ["vm", "create", "web-1", "--disk", str(image), "--label", "tier=front"],
    ):
        done = blixard(data_dir, *arguments, preexec_fn=lambda: os.umask(0o022))
        assert done.returncode == 0, done.stderr
    return data_dir


@pytest.fixture
def data(tmp_path: Path, made_by_cron: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(made_by_cron, tmp_path / "data"))


def test_a_cron_job_says_little_and_ends_well(data: Path) -> None:
    done = blixard(data, "vm", "set", "web-1", "--memory", "2048")

    assert (done.returncode, done.stdout) == (0, "")
    assert len(done.stderr.splitlines()) <= 5


def test_everything_that_is_made_is_private_whatever_the_umask(data: Path) -> None:
    modes = {path.relative_to(data): stat.S_IMODE(path.stat().st_mode) for path in data.rglob("*")}

    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_without_a_terminal_there_is_no_colour_no_bar_and_no_question(data: Path) -> None:
    environment = {**cron_environment(data), "TERM": "xterm-256color"}

    done = blixard(data, "vm", "delete", "web-1", env=environment)

    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr


def test_colour_can_be_forced_and_refused(data: Path) -> None:
    forced = blixard(data, "vm", "show", "none", env={**cron_environment(data), "FORCE_COLOR": "1"})
    refused = blixard(data, "vm", "show", "none", env={**cron_environment(data), "FORCE_COLOR": "1", "NO_COLOR": "1"})

    assert forced.stderr.startswith("\x1b[1;31merror:\x1b[0m no VM `none`")
    assert refused.stderr.startswith("error: no VM `none`")


@pytest.mark.parametrize(
    "command",
    [
        "cluster gc",
        "cluster history",
        "cluster list",
        "cluster status",
        "config show",
        "doctor",
        "node list",
        "telemetry show",
        "vm list",
        "vm show web-1",
    ],
)
def test_what_only_looks_ends_with_0_and_without_a_word_of_python(data: Path, command: str) -> None:
    done = blixard(data, *command.split())

    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def test_json_is_alone_on_stdout(data: Path) -> None:
    done = blixard(data, "cluster", "status", "--json")

    assert json.loads(done.stdout)["status"]["vms"]["total"] == 1
    assert done.stderr == ""


def test_an_error_is_json_too_even_one_of_parsing(data: Path) -> None:
    for arguments, code in ((["vm", "show", "none"], 20), (["vm", "show"], 2), (["vm", "sow"], 2)):
        done = blixard(data, *arguments, "--json")

        told = json.loads(done.stderr)["error"]
        assert (done.returncode, told["exit_code"], done.stdout) == (code, code, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_channel_is_no_traceback_and_no_damage(data: Path, closed: str) -> None:
    script = f'"$0" vm set web-1 --memory 512 {closed}; echo "code $?" >&3'
    read, write = os.pipe()

    subprocess.run(
        ["bash", "-c", f"exec 3>&{write}; {script}", BLIXARD],
        env=cron_environment(data),
        pass_fds=[write],
        capture_output=True,
        check=True,
    )

    os.close(write)
    with os.fdopen(read) as told:
        assert told.read() == "code 0\n"
    assert json.loads(blixard(data, "vm", "show", "web-1", "--json").stdout)["vm"]["memory"] == 512


def test_a_reader_that_leaves_is_a_quiet_end(data: Path) -> None:
    # the pipe's other end is closed before we write: no race
    read, write = os.pipe()
    os.close(read)

    done = blixard(data, "cluster", "status", stdout=write)

    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_stdout_is_an_error_not_a_traceback(data: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = blixard(data, "cluster", "status", stdout=full)

    assert done.returncode == 30
    assert done.stderr == "error: cannot write to stdout: No space left on device\n"


def test_a_full_stdout_is_an_error_of_the_version_too(data: Path) -> None:
    with Path("/dev/full").open("w") as full:
        assert blixard(data, "--version", stdout=full).returncode == 30


def test_a_full_stderr_stops_nothing(data: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = blixard(data, "vm", "set", "web-1", "--memory", "256", stderr=full)

    assert done.returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_signal_while_waiting_is_one_line(data: Path, number: signal.Signals, code: int) -> None:
    from blixard.home import Home
    from blixard.home.locks import FlockLocks

    with FlockLocks(Home(data).cluster("lab")).alone("cluster import"):
        waiting = subprocess.Popen(
            [BLIXARD, "vm", "create", "late", "--lock-wait", "10m", "-vv"],
            env={**cron_environment(data), "BLIXARD_PROGRESS": "plain"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        # the line of progress says that the command is at work and its handlers are set
        assert waiting.stderr.readline().startswith("begun")
        waiting.send_signal(number)
        _, told = waiting.communicate(timeout=30)

    assert waiting.returncode == code
    assert len([line for line in told.splitlines() if line.startswith("error:")]) == 1
    assert "Traceback" not in told


def test_a_wait_for_a_lock_ends_with_who_holds_it(data: Path) -> None:
    from blixard.home import Home
    from blixard.home.locks import FlockLocks

    with FlockLocks(Home(data).cluster("lab")).alone("cluster import"):
        done = blixard(data, "vm", "create", "late")

    assert done.returncode == 21
    assert f"`cluster import` (pid {os.getpid()}" in done.stderr


def test_a_name_that_drives_terminals_does_not(data: Path, tmp_path: Path) -> None:
    done = blixard(data, "vm", "set", "web-1", "--tenant", "\x1b[2Jx", "--label", "k=\x1b[31m")
    assert done.returncode == 0

    shown = blixard(data, "vm", "show", "web-1")

    assert "\x1b" not in shown.stdout


def test_bytes_that_are_no_text_are_refused_clearly(data: Path, tmp_path: Path) -> None:
    image = os.fsencode(tmp_path) + b"/\xff.raw"
    with open(image, "wb") as file:  # noqa: PTH123 - the name is bytes on purpose
        file.write(b"x" * 1000)

    done = subprocess.run(
        [os.fsencode(BLIXARD), b"vm", b"create", b"odd", b"--disk", image],
        env=cron_environment(data),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 2
    assert b"\\udcff.raw` is not UTF-8" in done.stderr


def test_the_configuration_names_its_origin(data: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("undo.keep = 9\n")

    done = blixard(data, "config", "show", "--json", "--config", tmp_path / "config.toml")

    shown = json.loads(done.stdout)
    assert shown["undo.keep"] == {"value": 9, "origin": str(tmp_path / "config.toml")}
    assert shown["data_dir"]["origin"] == "environment BLIXARD_DATA_DIR"


def test_a_cluster_deletion_needs_consent_from_a_script(data: Path) -> None:
    assert blixard(data, "cluster", "delete", "lab").returncode == 4
    assert blixard(data, "cluster", "delete", "lab", "-y").returncode == 0
    assert blixard(data, "cluster", "status").returncode == 20


def test_monitoring_is_told_when_no_export_was_made(data: Path) -> None:
    done = blixard(data, "cluster", "status", "--max-age", "26h", "-q")

    assert (done.returncode, done.stdout) == (6, "")


def test_it_runs_as_a_module_too(data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "blixard", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=cron_environment(data),
    )

    assert done.stdout.startswith("blixard ")


def test_as_a_module_it_ends_with_the_same_code(data: Path) -> None:
    command = [sys.executable, "-m", "blixard", "cluster", "inspect", "/nosuch"]

    assert subprocess.run(command, capture_output=True, check=False, env=cron_environment(data)).returncode == 30


INTERRUPTED_EARLY = """
import sys
class Once:
    def find_spec(self, name, *_):
        if name == "click":
            sys.meta_path.remove(self)
            raise KeyboardInterrupt
sys.meta_path.insert(0, Once())
from blixard.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["", "json"])
def test_ctrl_c_while_it_starts_is_told_as_any_other(data: Path, more: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", INTERRUPTED_EARLY, "cluster", "status", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=cron_environment(data))

    assert (done.returncode, done.stdout) == (130, "")
    if more:
        assert json.loads(done.stderr)["error"]["exit_code"] == 130
    else:
        assert done.stderr == "error: interrupted\n"


@pytest.mark.parametrize("shell", ["bash"])
def test_the_completion_script_loads_and_completes(data: Path, shell: str) -> None:
    script = (
        f'eval "$("$0" completion {shell})"; COMP_WORDS=(blixard cl); COMP_CWORD=1; '
        '_blixard_completion "$0"; echo "${COMPREPLY[*]}"'
    )

    done = subprocess.run(
        [shell, "-c", script, BLIXARD], env=cron_environment(data), capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "cluster"


@pytest.mark.parametrize("epoch", ["253402300800", "9" * 5000, "\u0663", "soon", "-1"])
def test_a_source_date_that_is_no_time_is_refused(data: Path, epoch: str) -> None:
    environment = {**cron_environment(data), "SOURCE_DATE_EPOCH": epoch}

    done = blixard(data, "cluster", "export", "-o", str(data.parent / "never.json.gz"), env=environment)

    assert done.returncode == 2, done.stderr
    assert "SOURCE_DATE_EPOCH" in done.stderr
    assert not (data.parent / "never.json.gz").exists()
