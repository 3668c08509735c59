"""iroh 0.35 blobs at both ends; runs in a virtual environment that has that release.

    blobs.py serve FILE STORE ADDRESS     prints a ticket and serves until it is ended
    blobs.py fetch TICKET STORE FILE      downloads into the store, then moves it out of there
    blobs.py discard TICKET               downloads into memory

No discovery: the ticket's addresses are enough on one machine. A node of it spends three seconds looking for a network
when it starts; the receivers say how long, so that the bench can leave it out.
"""

from __future__ import annotations

import asyncio
import sys
import time
from importlib import import_module
from typing import Any

iroh: Any = import_module("iroh")  # not the release that blixard is checked against


class Silent:
    """Hears progress of both kinds, adding and downloading."""

    async def progress(self, progress: Any) -> None:
        if progress.type().name == "ABORT":
            sys.exit(f"aborted: {progress.as_abort().error}")


async def serve(file: str, store: str, address: str) -> None:
    node = await iroh.Iroh.persistent_with_options(store, options(address))
    heard = Heard()
    await node.blobs().add_from_path(file, True, iroh.SetTagOption.auto(), iroh.WrapOption.no_wrap(), heard)
    ticket = await node.blobs().share(heard.hash, iroh.BlobFormat.RAW, iroh.AddrInfoOptions.ADDRESSES)
    print(ticket, flush=True)
    await asyncio.Event().wait()


class Heard(Silent):
    """Remembers what was added."""

    hash: Any = None

    async def progress(self, progress: Any) -> None:
        await super().progress(progress)
        if progress.type().name == "ALL_DONE":
            self.hash = progress.as_all_done().hash


async def fetch(text: str, store: str, file: str) -> None:
    began = time.monotonic()
    node = await iroh.Iroh.persistent_with_options(store, options("127.0.0.1:0"))
    print(time.monotonic() - began, flush=True)
    ticket = iroh.BlobTicket(text)
    await node.blobs().download(ticket.hash(), ticket.as_download_options(), Silent())
    await node.blobs().export(ticket.hash(), file, iroh.BlobExportFormat.BLOB, iroh.BlobExportMode.TRY_REFERENCE)
    await node.node().shutdown()


async def discard(text: str) -> None:
    began = time.monotonic()
    node = await iroh.Iroh.memory_with_options(options("127.0.0.1:0"))
    print(time.monotonic() - began, flush=True)
    ticket = iroh.BlobTicket(text)
    await node.blobs().download(ticket.hash(), ticket.as_download_options(), Silent())
    await node.node().shutdown()


def options(address: str) -> Any:
    return iroh.NodeOptions(ipv4_addr=address, node_discovery=iroh.NodeDiscoveryConfig.NONE)


async def main() -> None:
    iroh.iroh_ffi.uniffi_set_event_loop(asyncio.get_running_loop())
    verb, *arguments = sys.argv[1:]
    verbs: dict[str, Any] = {"serve": serve, "fetch": fetch, "discard": discard}
    await verbs[verb](*arguments)


if __name__ == "__main__":
    asyncio.run(main())
