"""A real fetch and a sender that says anything at any time: given up exactly where the table of states says so."""

from __future__ import annotations

import re
from contextlib import ExitStack, suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from blixard.errors import TransferError
from blixard.peer.fetch.options import FetchOptions
from blixard.peer.fetch.remote import Remote
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import Message, head
from blixard.peer.wire.states import FROM_CLIENT, FROM_SERVER, Incoming, State
from support.link_conformance import SOON, Started, no_thread_left, received
from support.loopback import LoopbackLink
from support.loopback_channel import LoopbackChannel
from support.peer_messages import NO_SENSE, Word, noise, seldom, words
from support.peers import OTHER, SERVER, MemoryDocument, World, collect, opened, read_document, world

PATIENT = FetchOptions(
    timeout=60,
    first_pause=0.01,
    longest_pause=0.02,
    connect_seconds=60,
    most_connections=1,
    channels=1,
    ping_seconds=60,
    lost_seconds=60,
)
"""Only what is said ends a connection, not how long it takes; and there is one of it, with one channel."""
REFUSED = "the ticket is used up: others have fetched with it"
MORE, LESS = "the sender's document is longer than it announced", "the sender's document is shorter than it announced"


class FetchFromABadSender(RuleBasedStateMachine):
    """The model: the state of each channel by `FROM_SERVER`, and why the sender has to be given up."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(no_thread_left())
        self.here: World = self.stack.enter_context(world())
        self.here.served = self.served = MemoryDocument(count=3)
        self.endpoint = self.here.endpoint(SERVER)
        self.listener = self.endpoint.listen()
        tickets = self.here.ticket(), self.here.ticket(OTHER)
        self.connecting = Started(lambda: self.here.fetch(*tickets, options=PATIENT))
        self.remote: Remote | None = None
        self.reading: Started[bytes] | None = None
        self.collecting: Started[list[bytes]] | None = None
        self.document_at = 0
        self.given_up: str | None = None
        self.link: LoopbackLink | None = None
        self.meet()

    def meet(self) -> None:
        """The fetch calls, for the first time or again, and waits for the sender's first word."""
        link = self.listener.accept(SOON)
        assert link is not None, "the fetch did not come back"
        self.link = link
        self.control = link.accept(SOON)
        self.state = State.HELLO
        self.heard = Incoming(FROM_CLIENT, State.HELLO)
        self.document: LoopbackChannel | None = None
        self.records: LoopbackChannel | None = None
        self.asked: list[str] = []

    def teardown(self) -> None:
        with self.stack:
            self.leave()
            server = self.here.serve(OTHER)
            remote = self.remote or self.connecting.result()
            if self.collecting is None:
                assert collect(remote, self.served.wanted) == self.served.records
            else:
                assert self.collecting.result() == self.served.records
            assert self.read_again(remote) == self.served.document_bytes
            remote.done()
            assert server.completed == 1
            assert len(remote.warnings) == (self.given_up is not None)
            assert all(re.fullmatch(f"a sender .+`: {self.given_up}", each) for each in remote.warnings)
            remote.close()
            if self.reading is not None:
                self.reading.is_done_within(SOON)

    def leave(self) -> None:
        """The bad sender is heard to the end, and then gone for good."""
        self.listener.close()
        if self.link is not None:
            with suppress(TransferError):
                self.control.finish()
            assert self.link.is_over_within(SOON)

    def read_again(self, remote: Remote) -> bytes:
        """The document, which is the good sender's from now on."""
        self.here.wait_until(remote, lambda now: now.senders == 1)
        return read_document(remote)

    @initialize(far=st.sampled_from(["hello", "welcome", "document", "records", "both"]))
    def gets_so_far(self, far: str) -> None:
        """Most senders are honest at first; what all of them may say at first is seen often enough."""
        if far == "hello":
            return
        self.says_hello()
        self.welcomes("")
        if far in {"document", "both"}:
            self.the_document_is_wanted()
        if far in {"records", "both"}:
            self.records_are_wanted()

    @precondition(lambda self: self.link is None and self.given_up is None)
    @rule()
    def is_called_again(self) -> None:
        self.meet()
        self.begin_what_is_wanted()

    @precondition(lambda self: self.given_up is not None)
    @rule()
    def waits_in_vain(self) -> None:
        assert self.listener.accept(0) is None

    @precondition(lambda self: self.state is State.HELLO)
    @rule()
    def says_hello(self) -> None:
        self.says(Word(head(protocol.ServerHello(protocol.new_nonce())), protocol.ServerHello))

    @precondition(lambda self: self.state is State.VERDICT)
    @rule(digest=st.sampled_from(["", "", "", "d1" * 32]))
    def welcomes(self, digest: str) -> None:
        served = self.served
        said = head(protocol.Welcome(digest or served.document, served.document_size, 16))
        self.says(Word(said, protocol.Welcome))

    @precondition(lambda self: self.link is not None)
    @rule(data=st.data())
    def says_anything(self, data: st.DataObject) -> None:
        self.says(data.draw(words(FROM_SERVER, self.state)))

    def says(self, said: Word) -> None:
        """A word on the control channel."""
        self.control.send(said.head)
        if not said.allowed(FROM_SERVER, self.state):
            self.is_given_up(NO_SENSE)
            return
        before, self.state = self.state, FROM_SERVER[self.state][said.kind]
        if said.kind is protocol.Refused:
            self.is_given_up(REFUSED)
        elif said.kind is protocol.ServerHello:
            assert isinstance(self.heard.message(received(self.control)), protocol.ClientHello)
        elif before is State.VERDICT and said.head["document"] != self.served.document:
            self.is_given_up("the sender serves another document than the ticket names")
        elif before is State.VERDICT:
            self.remote = self.remote or self.connecting.result()
            self.begin_what_is_wanted()

    @precondition(lambda self: self.link is not None)
    @rule(data=noise, on=st.sampled_from(["control", "records"]), really=seldom)
    def makes_noise(self, data: bytes, on: str, *, really: bool) -> None:
        channel = self.records if on == "records" else self.control
        if channel is not None and really:
            channel.raw(data if channel is self.control else b"\xff" * 8)
            self.is_given_up("the peer .+")

    @precondition(lambda self: self.link is not None)
    @rule(on=st.sampled_from(["control", "document", "records"]), really=seldom)
    def ends_a_channel(self, on: str, *, really: bool) -> None:
        """A sender that stops is lost, not false: the fetch comes again."""
        channel = {"control": self.control, "document": self.document, "records": self.records}[on]
        if channel is not None and really:
            with suppress(TransferError):  # the fetch may be faster
                channel.finish()
            self.is_lost()

    @precondition(lambda self: self.state is State.STANDING and self.collecting is None)
    @rule()
    def records_are_wanted(self) -> None:
        remote = self.the_remote
        for digest, length in self.served.wanted:
            remote.request(digest, length)
        self.collecting = Started(lambda: [opened(remote, digest, length) for digest, length in self.served.wanted])
        self.begin_what_is_wanted()

    @precondition(lambda self: self.state is State.STANDING and self.reading is None)
    @rule()
    def the_document_is_wanted(self) -> None:
        remote = self.the_remote
        self.reading = Started(lambda: read_document(remote))
        self.begin_what_is_wanted()

    @precondition(lambda self: self.document is not None)
    @rule(length=st.sampled_from([1, 1000, 300_000, 300_000, 300_000]))
    def gives_a_part(self, length: int) -> None:
        """The next bytes of the document; none when there are none left."""
        part = self.served.document_bytes[self.document_at :][:length]
        self.document_at += len(part)
        self.the(self.document).send(head(protocol.Part()), part)
        if not part:
            self.is_given_up(MORE)

    @precondition(lambda self: self.document is not None)
    @rule()
    def gives_the_rest(self) -> None:
        self.the(self.document).send(head(protocol.Part()), self.served.document_bytes[self.document_at :])
        if self.document_at == self.served.document_size:
            self.is_given_up(MORE)
            return
        self.the(self.document).send(head(protocol.DocumentSent()))
        assert self.the(self.reading).result() == self.served.document_bytes
        self.document = None

    @precondition(lambda self: self.document is not None)
    @rule(data=st.data())
    def says_anything_on_the_document_channel(self, data: st.DataObject) -> None:
        """Without a body."""
        said = data.draw(words(FROM_SERVER, State.DOCUMENT))
        self.the(self.document).send(said.head)
        if not said.allowed(FROM_SERVER, State.DOCUMENT):
            self.is_given_up(NO_SENSE)
        elif said.kind is protocol.Part:
            self.is_given_up(MORE)
        elif self.document_at == self.served.document_size:
            assert self.the(self.reading).result() == self.served.document_bytes
            self.document = None
        else:
            self.is_given_up(LESS)

    @precondition(lambda self: self.records is not None)
    @rule()
    def gives_a_record(self) -> None:
        digest = self.asked.pop(0)
        frame = self.served.frames[bytes.fromhex(digest)]
        self.the(self.records).send(head(protocol.RecordFrame(digest, len(frame))), frame)
        if not self.asked:
            assert self.the(self.collecting).result() == self.served.records
            self.records = None

    @precondition(lambda self: self.records is not None)
    @rule(data=st.data())
    def says_anything_on_the_record_channel(self, data: st.DataObject) -> None:
        """Without a body; no answer among the words is to what was asked for."""
        said = data.draw(words(FROM_SERVER, State.RECORDS))
        self.the(self.records).send(said.head)
        if said.allowed(FROM_SERVER, State.RECORDS):
            self.is_given_up("the peer answered with another record than it was asked for")
        else:
            self.is_given_up(NO_SENSE)

    @precondition(lambda self: self.records is not None)
    @rule()
    def misses_a_record(self) -> None:
        self.the(self.records).send(head(protocol.Missing(self.asked[0])))
        self.is_given_up(f"the peer has not got the record `{self.asked[0]}` of its own document")

    @invariant()
    def nothing_is_given_up_that_kept_to_the_table(self) -> None:
        if self.given_up is None and self.remote is not None:
            assert not self.remote.warnings

    @property
    def the_remote(self) -> Remote:
        assert self.remote is not None
        return self.remote

    def the(self, value: Any) -> Any:
        """Something that is there in this state of the model."""
        assert value is not None
        return value

    def begin_what_is_wanted(self) -> None:
        """On a new connection the fetch asks for what it has not got yet, each on a channel of its own."""
        if self.state is not State.STANDING:
            return
        if self.reading is not None and self.document is None and not self.reading.is_done_within(0):
            self.accept()
        if self.collecting is not None and self.records is None and not self.collecting.is_done_within(0):
            self.accept()

    def accept(self) -> None:
        channel = self.the(self.link).accept(SOON)
        request: Message = Incoming(FROM_CLIENT, State.REQUEST).message(received(channel))
        if isinstance(request, protocol.GetDocument):
            self.document, self.document_at = channel, request.offset
        else:
            assert isinstance(request, protocol.GetRecords)
            self.records, self.asked = channel, list(request.digests)

    def is_given_up(self, problem: str) -> None:
        """The fetch has to end the connection by this problem, and not come back."""
        self.is_lost()
        self.given_up = problem
        remote = self.remote
        assert self.listener.accept(2 * PATIENT.longest_pause) is None
        if remote is not None:
            self.here.wait_until(remote, lambda _: bool(remote.warnings))
        if self.reading is not None:
            with suppress(TransferError):
                self.reading.result()

    def is_lost(self) -> None:
        assert self.the(self.link).is_over_within(SOON)
        self.link = self.document = self.records = None
        self.state = State.OVER
        self.asked = []


TestFetch = FetchFromABadSender.TestCase
TestFetch.settings = settings(
    max_examples=40, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
