"""The rules of DESIGN.md section 6 on the target, one test each."""

from __future__ import annotations

from typing import Any

import pytest

from blixard.errors import RefusedError, UsageError
from blixard.model.structs import Provenance
from blixard.plan.options import Mode
from blixard.plan.target import Choice, ChosenBy, Existing, choose_target
from support.planning import EXPORTED, HERE, NOW, THERE, document, original, original_vm

PROD = Existing(name="prod", id=HERE)
HEAD = document(cluster_id=THERE, name="lab").head


def choose(given: str | None = None, environment: str | None = None, current: str | None = None,
           head: Any = HEAD, existing: Any = (PROD,), **fields: Any) -> Choice:  # fmt: skip
    wanted = {"mode": Mode.REPLACE, "document_name": head.cluster_name, **fields}
    return choose_target(given, environment, current, head, existing, **wanted)


def provenance(**fields: Any) -> Provenance:
    given = {"cluster_name": "lab", "exported_at": EXPORTED, "imported_at": NOW, "mode": "replace", **fields}
    return Provenance(**given)


def test_the_name_given_comes_first_and_is_made_if_it_does_not_exist() -> None:
    assert choose("new", "prod", "prod") == Choice(name="new", existing=None, chosen_by=ChosenBy.NAME)


def test_then_the_environment_then_the_current_cluster() -> None:
    other = Existing(name="other", id=THERE)

    assert choose(None, "other", "prod", existing=(PROD, other)).chosen_by is ChosenBy.ENVIRONMENT
    assert choose(None, None, "prod", consent=True) == Choice(name="prod", existing=PROD, chosen_by=ChosenBy.CURRENT)


def test_else_a_new_one_with_the_name_in_the_file_which_becomes_current() -> None:
    made = choose(existing=())

    assert (made.name, made.existing, made.becomes_current) == ("lab", None, True)
    assert not choose("x", existing=()).becomes_current


def test_a_current_cluster_that_is_gone_does_not_count() -> None:
    assert choose(None, None, "gone").name == "lab"


def test_a_replace_that_nobody_named_and_nothing_matches_is_refused() -> None:
    with pytest.raises(RefusedError, match="would replace `prod`") as caught:
        choose(None, None, "prod")
    assert caught.value.exit_code == 4
    assert caught.value.hint is not None
    assert "-c prod" in caught.value.hint


def test_the_environment_is_no_consent() -> None:
    with pytest.raises(RefusedError):
        choose(None, "prod")


@pytest.mark.parametrize(
    "fields",
    [
        {"consent": True},
        {"mode": Mode.MERGE},
        {"existing": (Existing(name="prod", id=HERE, empty=True),)},
        {"head": document(cluster_id=THERE, name="prod").head},
        {"head": document(cluster_id=HERE, name="lab").head},
        {"head": document(cluster_id=THERE, name="lab", provenance={"cluster_id": HERE}).head},
        {"existing": (Existing(name="prod", id=HERE, provenance=provenance(cluster_id=THERE)),)},
    ],
)
def test_consent_a_merge_an_empty_cluster_or_a_match_goes_on(fields: dict[str, Any]) -> None:
    assert choose(None, None, "prod", **fields).name == "prod"


def test_a_file_without_ids_matches_where_it_came_from_by_name() -> None:
    head = original(original_vm(), name="lab").head
    came = Existing(name="prod", id=HERE, provenance=provenance())
    other = Existing(name="prod", id=HERE, provenance=provenance(cluster_name="x"))

    assert choose(None, None, "prod", head=head, existing=(came,)).existing == came
    with pytest.raises(RefusedError):
        choose(None, None, "prod", head=head, existing=(other,))


def test_a_name_in_the_file_that_is_no_name_asks_for_one() -> None:
    with pytest.raises(UsageError) as caught:
        choose(head=document(name="my cluster/1").head)
    assert caught.value.hint == "`-c NAME` gives it a name of yours"


def test_a_name_changed_by_rules_is_the_name_in_the_file() -> None:
    assert choose(document_name="staging").name == "staging"
