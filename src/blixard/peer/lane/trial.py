"""A lane to ourselves: whether the direct lane can be listened at, shaken hands on and believed on this machine.

For `doctor`. It goes the way of a real lane, with its certificates, its token and its bounds; what it cannot see is a
firewall between two machines.
"""

from __future__ import annotations

from blixard.model.addresses import Ip, SocketAddress
from blixard.peer.lane.channel import LaneChannel
from blixard.peer.lane.dial import Caller
from blixard.peer.lane.hello import LaneHello, answer
from blixard.peer.lane.lane import LaneHost
from blixard.peer.lane.listen import Expected
from blixard.peer.lane.offer import new_token
from blixard.peer.pace.deadline import Deadline


def shake_own_hand(host: LaneHost, ip: Ip, deadline: Deadline) -> None:
    """Dial the listener of `host` at `ip`, an address of this machine.

    Raises:
        TransferError: nobody there, not in time, or it was not believed.
    """
    token, certificate = new_token(), host.identity.certificate
    taken: list[LaneChannel] = []

    def arrive(hello: LaneHello, channel: LaneChannel, _address: SocketAddress) -> None:
        taken.append(channel)
        channel.send(answer(hello))

    session = Expected(token=token, certificate=certificate, arrive=arrive)
    host.listener.expect(session)
    caller = Caller(identity=host.identity, certificate=certificate, token=token, tuning=host.tuning)
    try:
        taken.append(caller.dial(SocketAddress(ip, host.listener.address.port), LaneHello(token=token), deadline))
    finally:
        host.listener.forget(session)
        for channel in taken:
            channel.close()
