from __future__ import annotations

from pathlib import Path

import pytest

from blixard.model.structs import ExportMetadata
from blixard.ops.peers.served_file import ServedFile
from support.clusters import Watched
from support.documents import Piece, data, disk, head, image, node, noise, reference, vm, write
from support.documents import uuid as an_id

SIZE = 4096
ALIKE = [data(number * SIZE, noise(SIZE - 8) + number.to_bytes(8, "big")) for number in range(100)]
TEXT = [data((200 + number) * SIZE, b"%d times " % number * 400) for number in range(100)]


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("pieces", [ALIKE, TEXT, ALIKE + TEXT], ids=["alike", "text", "both"])
def test_what_a_share_sends_in_all_is_known_well_enough_for_a_bound(
    tmp_path: Path, pieces: list[Piece], *, compress: bool
) -> None:
    """Twice of it is the most that a receiver may take once a share is over."""
    file = tmp_path / "cluster.json"
    metadata = ExportMetadata(exporter="blixard 0.1.0", images_included=True)
    disks = [image("web-1", "root", [*pieces, reference(300 * SIZE, pieces[0])])]
    vms = [vm(id=an_id(1), disks=(disk("root", image=0),))]
    file.write_bytes(write(head(nodes=(node(),), metadata=metadata), vms, images=disks, compress=compress))

    with ServedFile(str(file), progress=Watched()) as served:
        frames = [served.frame(piece.record.digest) for piece in pieces]
        sent = served.document_size + sum(len(frame or b"") for frame in frames)

        assert None not in frames
        assert sent / 1.1 < served.share_bytes < sent * 2, (sent, served.share_bytes)
