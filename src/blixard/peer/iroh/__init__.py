"""The Iroh adapter of `peer.ports`: the only room that knows asyncio and the binding."""
