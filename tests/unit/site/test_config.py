from datetime import timedelta
from pathlib import Path

import pytest

from blixard.errors import UsageError
from blixard.home import Home
from blixard.limits import DEFAULT
from blixard.site import config as module
from blixard.site.config import KEYS, Config, load_config


@pytest.fixture(autouse=True)
def _no_system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SYSTEM_FILE", tmp_path / "etc.toml")


def load(tmp_path: Path, text: str, **environment: str) -> Config:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load_config({"config": str(file)}, environment)


def test_every_key_has_a_default_that_is_told_as_such() -> None:
    config = load_config({}, {"HOME": "/nonexistent"})

    assert {each.origin for each in config.settings.values()} == {"default"}
    assert set(config.settings) == set(KEYS)
    assert config.limits is DEFAULT


def test_a_flag_wins_over_the_environment_over_the_file_over_the_system(tmp_path: Path) -> None:
    (tmp_path / "etc.toml").write_text('data_dir = "/etc-says"\nundo.keep = 9')
    text = 'data_dir = "/file-says"'

    assert load_config({}, {}).data_dir == Path("/etc-says")
    assert load(tmp_path, text).data_dir == Path("/file-says")
    assert load(tmp_path, text).get("undo.keep", int) == 9
    assert load(tmp_path, text, BLIXARD_DATA_DIR="/env-says").data_dir == Path("/env-says")
    flagged = load_config({"data_dir": "/flag-says"}, {"BLIXARD_DATA_DIR": "/env-says"})
    assert flagged.settings["data_dir"].origin == "flag --data-dir"


def test_a_relative_data_directory_is_made_absolute_and_an_empty_one_is_none() -> None:
    assert Home(load_config({}, {"BLIXARD_DATA_DIR": "here"}).data_dir).root == Path.cwd() / "here"
    assert load_config({}, {"BLIXARD_DATA_DIR": ""}).data_dir == load_config({}, {}).data_dir


def test_the_user_file_is_found_below_xdg_config_home(tmp_path: Path) -> None:
    (tmp_path / "blixard").mkdir()
    (tmp_path / "blixard/config.toml").write_text("undo.keep = 5")

    config = load_config({}, {"XDG_CONFIG_HOME": str(tmp_path)})

    assert config.settings["undo.keep"].value == 5
    assert config.settings["undo.keep"].origin == str(tmp_path / "blixard/config.toml")


def test_values_are_typed(tmp_path: Path) -> None:
    text = '[undo]\nmax_age = "12h"\nmax_bytes = "10GiB"\n[limits]\nvms = 5\n[redact]\npaths = ["/a", "/b"]'

    config = load(tmp_path, text)

    assert config.get("undo.max_age", timedelta) == timedelta(hours=12)
    assert config.optional("undo.max_bytes", int) == 10 * 2**30
    assert config.limits.vms == 5
    assert config.get("redact.paths", tuple) == ("/a", "/b")


def test_a_variable_is_read_as_its_key_is(tmp_path: Path) -> None:
    config = load(tmp_path, "", BLIXARD_LIMITS_DISK_BYTES="1TiB", BLIXARD_REDACT_PATHS="/a,/b", BLIXARD_UNDO_KEEP="7")

    assert config.limits.disk_bytes == 2**40
    assert config.get("redact.paths", tuple) == ("/a", "/b")
    assert config.get("undo.keep", int) == 7


def test_an_unknown_key_is_an_error_that_names_the_close_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown setting `undo\.kep`") as caught:
        load(tmp_path, "undo.kep = 3")

    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean `undo.keep`")


def test_settings_of_the_network_are_read_as_their_options_are(tmp_path: Path) -> None:
    text = '[p2p]\nlane = "iroh"\nrelay = "https://relay.example"\nadvertise = ["192.0.2.1:4433"]\nlimit_rate = "10MiB"'

    config = load(tmp_path, text, BLIXARD_P2P_ADVERTISE="192.0.2.2:4433, 192.0.2.3:4433")

    assert config.get("p2p.lane", str) == "iroh"
    assert config.optional("p2p.relay", str) == "https://relay.example"
    assert config.get("p2p.advertise", tuple) == ("192.0.2.2:4433", "192.0.2.3:4433")
    assert config.optional("p2p.limit_rate", int) == 10 * 2**20
    assert config.optional("p2p.listen", str) is None


def test_an_unknown_lane_is_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`?p2p\.lane") as caught:
        load(tmp_path, 'p2p.lane = "fast"')

    assert "auto, iroh, tcp" in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "text",
    [
        "undo.keep = true",
        "undo.keep = -1",
        "undo.max_age = 30",
        "data_dir = 3",
        "redact.paths = [1]",
        "limits.vms = 1.5",
        "export.level = 4",
        "export.threads = 0",
        "export.threads = 65",
    ],
)
def test_a_value_of_the_wrong_kind_names_its_key_and_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=rf"setting `{text.split(maxsplit=1)[0]}` from .*config\.toml"):
        load(tmp_path, text)


def test_what_is_no_toml_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"config\.toml` is not TOML"):
        load(tmp_path, "= 3")


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no configuration file"):
        load_config({"config": str(tmp_path / "none.toml")}, {})
