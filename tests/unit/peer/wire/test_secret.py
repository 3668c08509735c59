from __future__ import annotations

import copy
import json
import pickle

import msgspec
import pytest

from blixard.peer.wire.secret import SECRET_BYTES, Secret

CANARY = b"canary in a mine"


def test_a_new_secret_has_its_length_and_is_none_of_the_others() -> None:
    assert len(Secret.new().reveal()) == SECRET_BYTES
    assert Secret.new() != Secret.new()


def test_only_reveal_gives_the_bytes() -> None:
    secret = Secret(CANARY)

    assert secret.reveal() == CANARY
    assert {str(secret), repr(secret), f"{secret}", f"{[secret]}"} == {"***", "[***]"}


def test_no_serializer_takes_it() -> None:
    secret = Secret(CANARY)

    for attempt in (json.dumps, msgspec.json.encode, msgspec.to_builtins, pickle.dumps, copy.deepcopy, hash):
        with pytest.raises(TypeError) as caught:
            attempt(secret)
        assert "canary" not in str(caught.value)


def test_secrets_are_equal_by_their_bytes_and_to_nothing_else() -> None:
    assert Secret(CANARY) == Secret(bytes(CANARY))
    assert Secret(CANARY) != Secret(CANARY[::-1])
    assert Secret(CANARY) != CANARY


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_secret_of_another_length_is_refused_without_showing_it(length: int) -> None:
    with pytest.raises(ValueError, match="16 bytes") as caught:
        Secret((CANARY * 2)[:length])
    assert "canary" not in str(caught.value)
