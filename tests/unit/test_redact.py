"""The published list of what is masked: every rule finds its secret, and everything comes back."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blixard.errors import UsageError
from blixard.model.codec import decode_vm
from blixard.redact import MASK, RULES, find_secrets, mask, parse_paths, rejoin

PEM = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nQyNTUxOQAAACB\n-----END OPENSSH PRIVATE KEY-----\n"
)


def vm_with(**fields: Any) -> dict[str, Any]:
    return {"vms": {"web-1": {"name": "web-1", "config_path": "/x", "vcpus": 1, "memory": 1, **fields}}}


def file_with(text: str) -> dict[str, Any]:
    return vm_with(files=[{"role": "seed", "name": "user-data", "text": text}])


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWORD", "root-passwd", "passphrase", "pwd", "secret", "client_secret", "token", "api_key",
     "apikey", "API-KEY", "access_key", "private_key", "privateKey", "credentials", "auth", "auth_token", "key",
     "ssh_key", "encryptionKey", "cookie", "psk", "wg_private_key"],
)  # fmt: skip
def test_metadata_under_a_secret_key_is_masked(key: str) -> None:
    made = mask(vm_with(metadata={key: "hunter2", "owner": "me"}))

    assert made.value["vms"]["web-1"]["metadata"] == {key: MASK, "owner": "me"}
    assert made.secrets == {f"/vms/web-1/metadata/{key}": "hunter2"}


SECRET_DOCUMENTS: list[tuple[str, dict[str, Any]]] = [
    ("transport config", {"nodes": [{"id": 1, "transport_config": {"x": "hunter2"}}]}),
    ("join ticket", {"nodes": [{"id": 1, "join_addr": "endpointhunter2abcdef"}]}),
    ("URL credentials", {"nodes": [{"id": 1, "iroh_relay_url": "https://relay:hunter2@relay.example/"}]}),
    ("secret header", vm_with(health_check_config={"checks": [{"headers": [["Authorization", "hunter2"]]}]})),
    ("secret header", vm_with(health_check_config={"checks": [{"headers": [["X-Api-Key", "hunter2"]]}]})),
    ("secret key", vm_with(health_check_config={"checks": [{"headers": {"Cookie": "hunter2"}}]})),
    ("secret key", vm_with(boot={"luks": {"passphrase": "hunter2"}})),
    ("secret key", {"vendor": {"api_token": "hunter2"}}),
    ("secret key", {"metadata": {"vendor": {"password": 12345678}}}),
    ("private key", file_with(PEM)),
    ("private key", file_with(f"write_files:\n- content: |\n    {PEM}")),
    ("private key", vm_with(metadata={"identity": "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ"})),
    ("password hash", file_with("users:\n- name: x\n  hash: $6$rounds=4096$salt$abcdefhunter2\n")),
    ("cloud-init passwords", file_with("chpasswd:\n  list: |\n    root:hunter2\n  expire: false\nruncmd: []\n")),
    ("assigned secret", file_with("#cloud-config\npassword: hunter2\nssh_pwauth: true\n")),
    ("assigned secret", file_with("plain_text_passwd: 'hunter2'\n")),
    ("assigned secret", file_with('export DB_PASSWORD="hunter2"\n')),
    ("assigned secret", file_with("environment.API_TOKEN=hunter2\n")),
    ("assigned secret", file_with('{"token": "hunter2"}')),
    ("assigned secret", file_with("secret: |\n  hunter2\n  more\nrest: 1\n")),
    ("known token", file_with("curl -H 'X: Bearer hunter2hunter2'\n")),
    ("known token", vm_with(metadata={"note": "ghp_" + "h" * 36})),
    ("known token", vm_with(metadata={"note": "AKIA" + "H" * 16})),
    ("known token", vm_with(metadata={"note": "eyJhbGciOiJI.eyJzdWIiOiIx.hunter2"})),
    ("URL credentials", vm_with(metadata={"dsn": "postgres://app:hunter2@db:5432/app"})),
    ("secret variable", {"metadata": {"template": {"variables": {"x": {"secret": True, "default": "hunter2",
                                                                       "targets": []}}}}}),
    ("secret variable", {"metadata": {"template": {"variables": {"root_password": {"default": "hunter2"}}}}}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "document"), SECRET_DOCUMENTS)
def test_every_published_rule_masks_its_secret_and_it_comes_back(rule: str, document: dict[str, Any]) -> None:
    made = mask(document)

    assert [each.rule for each in find_secrets(document)] == [rule]
    for secret in ("hunter2", "12345678", "b3BlbnNzaC1r", "QyNTUx", "AGE-SECRET", "ghp_hhh", "AKIAHH"):
        assert secret not in json.dumps(made.value)
    assert len(made.secrets) == 1
    assert rejoin(made.value, made.secrets) == document


def test_every_rule_is_published() -> None:
    published = {rule.name for rule in RULES}

    assert {rule for rule, _ in SECRET_DOCUMENTS} | {"configured path"} == published


def test_what_stands_around_a_secret_stays_readable() -> None:
    made = mask(file_with("#cloud-config\nhostname: web\npassword: hunter2\nruncmd: [ls]\n"))

    text = made.value["vms"]["web-1"]["files"][0]["text"]
    assert text == f"#cloud-config\nhostname: web\npassword: {MASK}\nruncmd: [ls]\n"
    assert list(made.secrets) == ["/vms/web-1/files/0/text"]


def test_a_document_without_secrets_is_not_copied() -> None:
    document = vm_with(metadata={"owner": "me"}, networks=[{"name": "eth0", "mac": "52:54:00:00:00:01"}])

    assert mask(document).value is document


@pytest.mark.parametrize("address", ["10.0.0.1:7001", "[::1]:7001", "node-1.example:7001"])
def test_a_join_address_that_is_host_and_port_is_no_secret(address: str) -> None:
    assert find_secrets({"nodes": [{"id": 1, "join_addr": address}]}) == ()


def test_masking_twice_finds_nothing_more() -> None:
    for _, document in SECRET_DOCUMENTS:
        once = mask(document)

        assert mask(once.value).secrets == {}


def test_a_masked_document_can_still_be_read() -> None:
    base64 = {"role": "nvram", "name": "n", "base64": "cGFzc3dvcmQ6IGh1bnRlcjI="}
    text = {"role": "seed", "name": "s", "text": "password: hunter2", "size_bytes": 17}

    made = mask(vm_with(files=[base64, text], metadata={"token": "x"}))

    vm = decode_vm(made.value["vms"]["web-1"])
    assert [file.size_bytes for file in vm.files][1] == len(f"password: {MASK}")
    assert "hunter2" not in json.dumps(made.value)
    assert rejoin(made.value, made.secrets)["vms"]["web-1"]["files"] == [base64, text]


def test_a_part_of_a_document_is_masked_with_the_pointers_of_the_whole() -> None:
    made = mask({"name": "web-1", "metadata": {"token": "x"}}, ("vms", "web-1"))

    assert list(made.secrets) == ["/vms/web-1/metadata/token"]
    assert made.value["metadata"] == {"token": MASK}


def test_configured_paths_are_masked_too() -> None:
    paths = parse_paths(["/vms/*/metadata/owner", "/**/bind_addr", "/vms/web-*/boot"])
    document = {**vm_with(metadata={"owner": "me"}, boot={"a": 1}), "nodes": [{"id": 1, "bind_addr": "10.0.0.1:1"}]}

    made = mask(document, paths=paths)

    assert set(made.secrets) == {"/vms/web-1/metadata/owner", "/vms/web-1/boot", "/nodes/0/bind_addr"}
    assert made.value["vms"]["web-1"]["boot"] is None
    assert rejoin(made.value, made.secrets) == document


@pytest.mark.parametrize("path", ["vms", "", "/vms/*/name", "/vms/*/vcpus"])
def test_a_path_that_a_document_cannot_be_without_is_a_usage_error(path: str) -> None:
    with pytest.raises(UsageError):
        parse_paths([path])


def test_secrets_of_another_file_are_refused_naming_the_place() -> None:
    with pytest.raises(UsageError, match="/vms/other/metadata/token"):
        rejoin(vm_with(), {"/vms/other/metadata/token": "x"})


def test_findings_are_masked_unless_asked_for_clear() -> None:
    document = vm_with(metadata={"token": "hunter2"})

    assert find_secrets(document)[0].shown == MASK
    assert find_secrets(document, clear=True)[0].shown == "hunter2"


def test_log_lines_and_their_attributes_are_masked() -> None:
    element = {
        "scopeLogs": [
            {
                "logRecords": [
                    {
                        "body": {"stringValue": "login with password=hunter2 from 10.0.0.1"},
                        "attributes": [{"key": "api_token", "value": {"stringValue": "hunter2"}}],
                    }
                ]
            }
        ]
    }

    made = mask(element, ("telemetry", "resourceLogs", "0"))

    assert "hunter2" not in json.dumps(made.value)
    assert "from 10.0.0.1" in json.dumps(made.value)


@pytest.mark.parametrize(
    "text",
    ["a" * (1 << 20), "-----BEGIN PRIVATE KEY-----" * 30_000, "secret: |\n" + " " * (1 << 20), "://a:" * 200_000,
     "chpasswd:\n" * 100_000, "token" * 200_000, "$6$" * 300_000, "eyJ" * 300_000, "Bearer " * 140_000],
    ids=lambda text: text[:12].strip(),
)  # fmt: skip
def test_a_mebibyte_that_was_made_to_be_slow_is_not(text: str) -> None:
    started = time.process_time()

    mask(file_with(text))

    assert time.process_time() - started < 5


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["password: x", PEM, "a://b:c@d"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["password", "key", "value", "text", "role", "headers", "n"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["vms", "nodes", "vendor"]), json_values, max_size=3))
def test_whatever_is_masked_comes_back(document: dict[str, Any]) -> None:
    made = mask(document)

    assert rejoin(made.value, made.secrets) == document
