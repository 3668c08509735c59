import os
import pty
from pathlib import Path

import pytest

from blixard.errors import StorageError, UsageError
from blixard.place.source import FileInput
from blixard.place.standard import standard_input, standard_output


def test_a_pipe_takes_the_document_and_stays_open() -> None:
    reading, writing = os.pipe()
    with standard_output(writing) as output:
        output.file.write(b"content")
        output.commit()
    os.write(writing, b" and more")
    os.close(writing)

    assert os.read(reading, 100) == b"content and more"
    assert output.folder is None
    os.close(reading)


def test_what_is_given_up_is_not_written_at_the_end() -> None:
    reading, writing = os.pipe()
    with standard_output(writing) as output:
        output.file.write(b"content")
    os.close(writing)

    assert os.read(reading, 100) == b""
    os.close(reading)


def test_a_reader_that_went_away_is_a_broken_pipe_and_no_error_of_storage() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with standard_output(writing) as output:
        output.file.write(b"content")
        with pytest.raises(BrokenPipeError):
            output.commit()
    os.close(writing)


def test_a_terminal_is_refused_at_both_ends() -> None:
    ours, theirs = pty.openpty()
    for use in (standard_output, standard_input):
        with pytest.raises(UsageError) as caught:
            use(theirs)
        assert caught.value.hint
    os.close(ours)
    os.close(theirs)


def test_a_closed_end_is_a_storage_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.close(fd)

    for use in (standard_output, standard_input):
        with pytest.raises(StorageError, match="closed"):
            use(fd)


def test_a_redirected_file_can_seek_and_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(b"content")
    fd = os.open(path, os.O_RDONLY)
    os.lseek(fd, 3, os.SEEK_SET)
    with FileInput(standard_input(fd), "standard input") as given:
        content = given.stream.read()

    assert (given.seekable, given.size, content) == (True, 7, b"content")
    os.fstat(fd)
    os.close(fd)


def test_a_pipe_cannot_seek() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"content")
    os.close(writing)
    with FileInput(standard_input(reading), "standard input") as given:
        content = given.stream.read()

    assert (given.seekable, given.size, content) == (False, None, b"content")
    os.close(reading)
