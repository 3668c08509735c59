"""A real share and a client that says anything at any time: refused exactly where the table of states says so."""

from __future__ import annotations

import re
from contextlib import ExitStack, suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from blixard.errors import TransferError
from blixard.peer.ports import Frame
from blixard.peer.share.answers import Bounds
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import Message, head
from blixard.peer.wire.states import FROM_CLIENT, FROM_SERVER, Incoming, State
from support.link_conformance import SOON, no_thread_left, received
from support.loopback import LoopbackLink
from support.loopback_channel import LoopbackChannel
from support.peer_messages import NO_SENSE, WORDS, Word, noise, seldom, word, words
from support.peers import OTHER, SECRET, MemoryDocument, World, collect, read_document, world

PATIENT = Bounds(
    handshake_seconds=60,
    idle_seconds=60,
    session_idle_seconds=60,
    parting_idle_seconds=60,
    ping_seconds=60,
    lost_seconds=60,
)
"""Only what is said ends a session, not how long it takes."""
CHANNELS = 5
BEYOND = "the peer asked for a part of the document that is not there"


class Asking:
    """A request channel of the client, by the table of its own words, and what it is still to be answered."""

    def __init__(self, channel: LoopbackChannel) -> None:
        self.channel = channel
        self.state = State.REQUEST
        self.beyond = False
        """It asked for a part of the document that is not there."""
        self.asked: list[protocol.GetDocument | protocol.GetRecords] = []

    @property
    def fault(self) -> str | None:
        """What the server has to find wrong with it."""
        return BEYOND if self.beyond else NO_SENSE if self.state is State.OVER else None


class Share(RuleBasedStateMachine):
    """The model: the state of each channel by `FROM_CLIENT`, and how each session has to end."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(no_thread_left())
        self.here: World = self.stack.enter_context(world())
        self.here.served = self.served = MemoryDocument(count=3)
        self.server = self.here.serve(bounds=PATIENT)
        self.clients = 0
        self.ends: dict[str, str] = {}
        """How a session ended that had been let in, by the client's id: well, or by a problem like this."""
        self.complete = {OTHER}
        """Who was served something, and has said that it has all: a use of the share."""
        self.refusals: list[str] = []
        self.link: LoopbackLink | None = None
        self.begin()

    def begin(self) -> None:
        """A stranger comes, of a name of its own, and hears the server's first word."""
        self.clients += 1
        self.id = f"{self.clients:04x}" * 16
        self.link = self.here.call(self.id)
        self.control = self.link.open(SOON)
        self.state = State.HELLO
        self.heard = Incoming(FROM_SERVER, State.HELLO)
        self.nonce = self.hears(protocol.ServerHello).nonce
        self.channels: list[Asking] = []
        self.says_done = self.bound = False

    def teardown(self) -> None:
        with self.stack:
            if self.link is not None:
                self.link.close()
            remote = self.here.fetch(client_id=OTHER)
            assert read_document(remote) == self.served.document_bytes
            assert collect(remote, self.served.wanted) == self.served.records
            remote.done()
            remote.close()
            self.server.stop()
            ended = {receiver.id: receiver.problem or "" for receiver in self.here.notes.ends}
            for client, how in self.ends.items():
                assert re.fullmatch(how, ended[client]), (how, ended[client])
            assert self.server.completed == len(self.complete)
            assert self.here.notes.refusals == self.refusals
            assert not self.here.notes.warnings

    @initialize(far=st.sampled_from(["hello", "welcome", "channel"]))
    def gets_so_far(self, far: str) -> None:
        """Most clients are honest at first."""
        if far != "hello":
            self.proves_itself(right=True, needs=())
        if far == "channel":
            self.opens_a_channel()

    @precondition(lambda self: self.link is None)
    @rule(far=st.sampled_from(["hello", "welcome", "channel"]))
    def another_stranger_comes(self, far: str) -> None:
        self.begin()
        self.gets_so_far(far)

    @precondition(lambda self: self.state is State.HELLO)
    @rule(right=st.sampled_from([True, True, True, False]), needs=st.sampled_from([(), (), (), ("telepathy",)]))
    def proves_itself(self, *, right: bool, needs: tuple[str, ...]) -> None:
        proof = protocol.prove(SECRET, client_id=self.id, server_id=self.control_link.remote_id, nonce=self.nonce)
        self.control.send(head(protocol.ClientHello(proof if right else "00" * 32, require=needs)))
        if right and not needs:
            if not any(asking.fault for asking in self.channels):  # that may be met before the welcome is heard
                self.hears(protocol.Welcome)
            self.state = State.STANDING
            self.take_answers()
        else:
            self.refused("version" if right else "secret")

    @precondition(lambda self: self.link is not None)
    @rule(data=st.data())
    def says_anything(self, data: st.DataObject) -> None:
        self.says(data.draw(words(FROM_CLIENT, self.state)))

    def says(self, said: Word) -> None:
        """A word on the control channel."""
        self.control.send(said.head)
        if not said.allowed(FROM_CLIENT, self.state):
            self.misbehaved(NO_SENSE)
        elif said.kind is protocol.ClientHello:
            self.refused("secret")  # with a proof of nothing
        elif said.kind is protocol.Done:
            self.says_done = True
            if self.bound:
                self.complete.add(self.id)
            self.hears(protocol.Bye)

    @precondition(lambda self: self.state is State.STANDING)
    @rule()
    def is_done(self) -> None:
        self.says(word(protocol.Done()))

    @precondition(lambda self: self.link is not None)
    @rule(data=noise, really=seldom)
    def makes_noise(self, data: bytes, *, really: bool) -> None:
        if not really:
            return
        self.control.raw(data)
        self.misbehaved("the peer .+")

    @precondition(lambda self: self.link is not None)
    @rule(really=seldom)
    def ends_the_control_channel(self, *, really: bool) -> None:
        if not really:
            return
        with suppress(TransferError):  # a server that refuses this may be faster
            self.control.finish()
        if None in FROM_CLIENT[self.state]:
            self.ends[self.id] = ""
            self.is_gone()
        else:
            self.misbehaved(NO_SENSE)

    @precondition(lambda self: self.link is not None and len(self.channels) < CHANNELS)
    @rule()
    def opens_a_channel(self) -> None:
        self.channels.append(Asking(self.control_link.open(SOON)))

    @precondition(lambda self: self.askable)
    @rule(data=st.data())
    def asks_anything(self, data: st.DataObject) -> None:
        """On a request channel; before the proof it stays without an answer."""
        said = data.draw(words(FROM_CLIENT, State.REQUEST))
        asking = data.draw(st.sampled_from(self.askable))
        asking.channel.send(said.head)
        if not said.allowed(FROM_CLIENT, asking.state):
            asking.state = State.OVER
        elif said.kind is protocol.GetDocument:
            asking.asked.append(protocol.GetDocument(0))
        else:
            asking.asked.append(protocol.GetRecords((said.head["digests"][0],)))
        self.take_answers()

    @precondition(lambda self: self.askable)
    @rule(data=st.data())
    def asks_for_what_there_is(self, data: st.DataObject) -> None:
        """For a part of the document, or records of it, and some that are not of it."""
        asking = data.draw(st.sampled_from(self.askable))
        digests = [*(digest.hex() for digest, _ in self.served.wanted), "00" * 32]
        request = data.draw(
            st.sampled_from([0, 1, self.served.document_size, self.served.document_size + 1]).map(protocol.GetDocument)
            | st.lists(st.sampled_from(digests), min_size=1, max_size=4).map(tuple).map(protocol.GetRecords)
        )
        asking.channel.send(head(request))
        if isinstance(request, protocol.GetDocument) and request.offset > self.served.document_size:
            asking.beyond = True
        asking.asked.append(request)
        self.take_answers()

    @precondition(lambda self: self.state is State.STANDING and self.askable)
    @rule(data=st.data())
    def ends_a_channel(self, data: st.DataObject) -> None:
        asking = data.draw(st.sampled_from(self.askable))
        asking.channel.finish()
        assert asking.channel.receive(SOON) is None
        self.channels.remove(asking)

    @invariant()
    def nobody_is_served_before_the_proof(self) -> None:
        if self.state is State.HELLO:
            assert self.id not in {receiver.id for receiver in self.server.receivers()}

    @property
    def control_link(self) -> LoopbackLink:
        assert self.link is not None
        return self.link

    @property
    def askable(self) -> list[Asking]:
        return [each for each in self.channels if self.link is not None and not each.fault]

    def hears(self, kind: type[Message]) -> Any:
        """The server's next word on the control channel, which has to be one of its table too."""
        message = self.heard.message(self.control.receive(SOON))
        assert isinstance(message, kind)
        return message

    def take_answers(self) -> None:
        """Once the session stands, each channel is answered, unless one has asked what it must not."""
        if self.state is not State.STANDING:
            return
        faults = sorted({asking.fault for asking in self.channels if asking.fault})
        if faults:
            self.misbehaved("|".join(faults))
            return
        for asking in self.channels:
            for request in asking.asked:
                self.bound = True
                if isinstance(request, protocol.GetDocument):
                    self.take_document(asking.channel, request.offset)
                else:
                    self.take_records(asking.channel, request.digests)
            asking.asked.clear()

    def take_document(self, channel: LoopbackChannel, offset: int) -> None:
        incoming, data = Incoming(FROM_SERVER, State.DOCUMENT), b""
        while incoming.state is State.DOCUMENT:
            frame = received(channel)
            incoming.message(frame)
            data += frame[1]
        assert data == self.served.document_bytes[offset:]

    def take_records(self, channel: LoopbackChannel, digests: tuple[str, ...]) -> None:
        for digest in digests:
            frame = received(channel)
            answer = Incoming(FROM_SERVER, State.RECORDS).message(frame)
            assert answer.blake3 == digest
            assert frame[1] == self.served.frames.get(bytes.fromhex(digest), b"")
            assert isinstance(answer, protocol.RecordFrame) == (bytes.fromhex(digest) in self.served.frames)

    def refused(self, code: str) -> None:
        assert self.hears(protocol.Refused).code == code
        self.refusals.append(code)
        self.is_gone()

    def misbehaved(self, problem: str) -> None:
        """The session has to end by this; a stranger's ends without a word, and nobody notes it."""
        if self.state is State.STANDING:
            self.ends[self.id] = "" if self.says_done else problem
        self.is_gone()

    def is_gone(self) -> None:
        """The server has ended the session, and said nothing that it may not say."""
        frame: Frame | None = ({}, b"")
        while frame is not None:
            try:
                frame = self.control.receive(SOON)
            except TransferError:
                break
            self.heard.message(frame)
        assert self.control_link.is_over_within(SOON)
        self.link = None
        self.state = State.OVER
        self.channels = []


TestShare = Share.TestCase
TestShare.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_every_message_of_the_protocol_is_said_and_has_its_place_in_a_table() -> None:
    messages = {each for each in Message.__subclasses__() if each.__module__ == protocol.__name__}
    assert {each.kind for each in WORDS} == {*messages, None}
    rows = [row for table in (FROM_SERVER, FROM_CLIENT) for row in table.values()]
    assert {kind for row in rows for kind in row} == {*messages, None}
