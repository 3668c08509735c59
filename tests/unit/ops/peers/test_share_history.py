"""What a share leaves in the history: each receiver at once, and few entries however often it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blixard.ops.peers.share_history import ShareHistory
from blixard.peer.share.receivers import Receiver
from blixard.site.open_cluster import OpenCluster
from support.clusters import StillClock, a_cluster

VERB = "cluster share"
NOW = StillClock().now()


def seen(**more: Any) -> Receiver:
    return Receiver(id="c1" * 32, address="192.0.2.1:7000", first_at=NOW, visit_at=NOW, last_at=NOW, **more)


def following(cluster: OpenCluster) -> ShareHistory:
    return ShareHistory(cluster, verb=VERB, document="d0" * 32, place="web.json.gz", uses=None)


def written(cluster: OpenCluster) -> list[tuple[int, object]]:
    """Exit code and bytes of each entry, oldest first."""
    entries = [recorded.entry for recorded in cluster.history.entries() if recorded.entry.verb == VERB]
    return [(entry.exit_code, entry.options["bytes"]) for entry in reversed(entries)]


def test_a_receiver_is_written_when_it_has_got_all(tmp_path: Path) -> None:
    with a_cluster(tmp_path) as cluster:
        history = following(cluster)
        history.follow((seen(sessions=1, sent_bytes=5),))
        assert written(cluster) == []
        history.follow((seen(sessions=1, sent_bytes=9, completed=True),))
        history.follow((seen(sessions=0, sent_bytes=9, completed=True),))
        history.finish((seen(sessions=0, sent_bytes=9, completed=True),))

        assert written(cluster) == [(0, 9)]


def test_one_that_comes_and_goes_is_written_once_until_more_became_of_it(tmp_path: Path) -> None:
    with a_cluster(tmp_path) as cluster:
        history = following(cluster)
        for sent in range(3, 9):
            history.follow((seen(sessions=0, sent_bytes=sent),))
            history.follow((seen(sessions=1, sent_bytes=sent),))
        assert written(cluster) == [(3, 3)]
        history.finish((seen(sessions=0, sent_bytes=8),))

        assert written(cluster) == [(3, 3), (3, 8)]
