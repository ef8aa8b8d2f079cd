"""Owns the kit for artifact stores: what every one of them must do, when all goes well and when the disk is full or the host dies.

    class TestMine(ArtifactStoreKit):
        definition = my_plugin.DEFINITION
        options = {"folder": "artifacts"}

Faults: the kit takes the disk away in the middle of a `put`, and kills processes in it, at every moment at which they call the
system. A store of which neither can be tried here (its bytes are elsewhere, its client cannot be forked) says so by `faults`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import signal
import sys
import threading
import time
import tracemalloc
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from meson_core.errors import ArtifactError
from meson_core.plugins.conformance import ConformanceError, checked_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from meson_core.ports import ArtifactStore, ArtifactStoreDefinition

MIB = 1 << 20
WRONG_DIGESTS = (
    "",
    "sha256:",
    "sha256:../../../etc/passwd",
    f"md5:{'a' * 32}",
    f"sha256:{'A' * 64}",
    f"sha256:{'a' * 63}",
)
#: A child of a fault test ends with this when its `put` came to its end.
_WHOLE = 17
#: Seconds that clocks of a store and of this machine may differ by.
_COARSE_S = 2.0
#: Seconds within which a claim shows.
_DEADLINE_S = 10.0


class ArtifactStoreKit:
    """The checks; a subclass whose name begins with `Test` sets `definition` and, where it needs any, `options`."""

    definition: ClassVar[ArtifactStoreDefinition]
    """The artifact store."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Options, as in the settings."""
    wrong_options: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """Options that the model must refuse."""
    faults: ClassVar[bool] = True
    """Whether it can be tried here what a full disk and a killed host do: where it writes to this machine's files."""
    moments: ClassVar[int] = 24
    """At how many moments of a `put` a host is killed, at most."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self._project = tmp_path / "project"
        self._project.mkdir()
        self._files = tmp_path / "files"
        self._files.mkdir()

    # --- to override ----------------------------------------------------------------------------------------------

    def given(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options as the test uses them: where only a running test knows the address of a service."""
        return options

    # --- carrying out ---------------------------------------------------------------------------------------------

    def _open(self) -> ArtifactStore:
        """The store as another process would open it."""
        directory = self._project / ".meson"
        directory.mkdir(exist_ok=True)
        return self.definition.open(self.definition.Options.model_validate(dict(self.given(self.options))), directory)

    def _file(self, content: bytes, name: str = "model.bin") -> Path:
        path = self._files / name
        path.write_bytes(content)
        return path

    def _needs_faults(self) -> None:
        if not self.faults:
            pytest.skip(f"{self.definition.name} says that faults cannot be tried here")

    # --- definition -----------------------------------------------------------------------------------------------

    def test_it_is_what_its_hook_declares(self) -> None:
        try:
            checked_answer("meson_artifact_stores", [self.definition])
        except ConformanceError as error:
            raise AssertionError(str(error)) from None

    def test_its_options_have_a_schema(self) -> None:
        try:
            schema = self.definition.Options.model_json_schema()
        except PydanticInvalidForJsonSchema as error:
            raise AssertionError(f"the options have no JSON Schema: {error.message}") from None
        assert schema["type"] == "object"

    def test_it_refuses_options_that_it_does_not_have(self) -> None:
        """A misspelt setting is found before anything is written to the wrong place."""
        for wrong in ({"surely_no_option": 1}, *self.wrong_options):
            with pytest.raises(ValidationError):
                self.definition.Options.model_validate({**self.given(self.options), **wrong})

    def test_its_url_says_where_it_is(self) -> None:
        """Executors on other machines are given the URL, and nothing else."""
        store = self._open()
        assert urlsplit(store.url).scheme
        assert store.url == self._open().url

    # --- keeping --------------------------------------------------------------------------------------------------

    def test_what_is_put_is_there(self) -> None:
        store = self._open()
        content = b"weights\x00\xff\n" * 1000
        digest = store.put(self._file(content))
        assert digest == digest_of(content)
        assert store.exists(digest) is True
        assert _read(store, digest) == content

    def test_nothing_is_something(self) -> None:
        store = self._open()
        assert _read(store, store.put(self._file(b""))) == b""

    def test_equal_bytes_are_one_artifact(self) -> None:
        store = self._open()
        first = store.put(self._file(b"same", "a.bin"))
        assert store.put(self._file(b"same", "größe 数据.parquet")) == first
        assert store.put(self._file(b"other", "a.bin")) != first
        assert _read(store, first) == b"same"

    def test_others_find_what_one_has_put(self) -> None:
        """Terminal, orchestrator and executors open it for themselves."""
        before = self._open()
        digest = self._open().put(self._file(b"from elsewhere"))
        assert before.exists(digest)
        assert _read(before, digest) == b"from elsewhere"

    def test_what_is_kept_does_not_change_with_its_source(self) -> None:
        store = self._open()
        path = self._file(b"before")
        digest = store.put(path)
        path.write_bytes(b"after!")
        assert _read(store, digest) == b"before"
        path.unlink()
        assert _read(store, digest) == b"before"

    def test_its_source_stays_as_it_is(self) -> None:
        path = self._file(b"mine")
        mode = path.stat().st_mode
        self._open().put(path)
        assert path.read_bytes() == b"mine"
        assert path.stat().st_mode == mode

    def test_large_files_pass_through(self) -> None:
        """Not through memory: models are larger than that."""
        content = os.urandom(MIB) * 24
        path = self._file(content)
        expected = digest_of(content)
        del content
        store = self._open()
        store.put(self._file(b"small", "small"))  # what it imports when it is first used does not count
        tracemalloc.start()
        try:
            digest = store.put(path)
            with store.open(digest) as file:
                found = hashlib.sha256()
                while block := file.read(MIB):
                    found.update(block)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (digest, f"sha256:{found.hexdigest()}") == (expected, expected)
        assert peak < 8 * MIB, f"{peak / MIB:.0f} MiB of memory for a file of 24 MiB"

    def test_many_may_put_the_same_at_once(self) -> None:
        store = self._open()
        path = self._file(os.urandom(MIB))
        begin = threading.Barrier(8)
        found: list[object] = []

        def put() -> None:
            begin.wait()
            try:
                found.append(store.put(path))
            except Exception as error:  # noqa: BLE001 (whatever it is, the test must hear of it)
                found.append(error)

        threads = [threading.Thread(target=put) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        digest = digest_of(path.read_bytes())
        assert found == [digest] * 8
        assert _read(store, digest) == path.read_bytes()

    # --- what is not there ----------------------------------------------------------------------------------------

    def test_what_is_not_there_is_told(self) -> None:
        store = self._open()
        digest = digest_of(b"never put")
        assert store.exists(digest) is False
        with pytest.raises(ArtifactError) as told, store.open(digest):
            pass
        assert digest in str(told.value), "the message does not say which bytes are not there"

    def test_a_file_that_is_not_there_is_told(self) -> None:
        with pytest.raises(ArtifactError) as told:
            self._open().put(self._files / "nowhere.bin")
        assert "nowhere.bin" in str(told.value), "the message does not say which file is not there"

    def test_what_is_no_digest_is_refused(self) -> None:
        """Digests come out of runs, so whoever writes a step writes them: they must lead nowhere else."""
        store = self._open()
        for wrong in WRONG_DIGESTS:
            for ask in (store.exists, store.open, store.claim, store.delete):
                with pytest.raises(ArtifactError):
                    ask(wrong)

    def test_what_is_deleted_is_gone(self) -> None:
        store = self._open()
        digest, other = store.put(self._file(b"old", "old")), store.put(self._file(b"new", "new"))
        store.delete(digest)
        assert not store.exists(digest)
        assert not self._open().exists(digest)
        assert _read(store, other) == b"new"
        assert store.put(self._file(b"old", "old")) == digest
        assert _read(store, digest) == b"old"

    def test_deleting_what_is_not_there_is_fine(self) -> None:
        store = self._open()
        digest = store.put(self._file(b"old"))
        store.delete(digest)
        store.delete(digest)
        store.delete(digest_of(b"never put"))

    # --- what nobody names ----------------------------------------------------------------------------------------

    def test_a_folder_is_one_artifact(self) -> None:
        """Equal content is one digest, whenever and in which order its files were written."""
        store = self._open()
        digests = []
        for name, files in (("one", "ab"), ("two", "ba"), ("other", "ac")):
            folder = self._files / name
            folder.mkdir()
            for file in files:
                (folder / file).write_text(file, encoding="utf-8")
            digests.append(store.put(folder))
        assert digests[0] == digests[1]
        assert digests[2] != digests[0]
        assert digest_of(_read(store, digests[0])) == digests[0]

    def test_what_is_there_is_listed(self) -> None:
        """Prune goes by this list: digest, size, and when it was last put or claimed."""
        store = self._open()
        assert list(store.contents()) == []
        began = time.time()
        digests = {store.put(self._file(content)): len(content) for content in (b"one", b"two more", b"and three")}
        listed = list(store.contents())
        assert sorted((one.digest, one.size) for one in listed) == sorted(digests.items())
        assert all(began - _COARSE_S <= one.touched <= time.time() + _COARSE_S for one in listed)

    def test_a_claim_counts_as_a_put(self) -> None:
        """Who finds bytes that are there, and is going to name them, says so first."""
        store = self._open()
        digest = store.put(self._file(b"claimed"))
        assert store.claim(digest_of(b"never put")) is False
        before = self._touched(digest)
        self._until(lambda: store.claim(digest) and self._touched(digest) > before, "a later time after a claim")
        before = self._touched(digest)
        again = self._file(b"claimed", "again")
        self._until(lambda: store.put(again) and self._touched(digest) > before, "a later time after another put")

    def test_what_was_touched_since_is_not_deleted(self) -> None:
        store = self._open()
        digest = store.put(self._file(b"in flight"))
        touched = self._touched(digest)
        assert store.delete(digest, touched - 60.0) is False
        assert _read(store, digest) == b"in flight"
        assert store.delete(digest, touched + 60.0) is True
        assert not store.exists(digest)

    def test_what_interrupted_uploads_left_is_removed(self) -> None:
        """And nothing else: neither what is whole, nor an upload that is under way."""
        self._needs_faults()
        store = self._open()
        whole = store.put(self._file(b"whole"))
        url = urlsplit(store.url)
        if url.scheme != "file":
            pytest.skip(f"what {store.url} keeps cannot be seen from here")
        folder = Path(unquote(url.path))
        path = self._file(os.urandom(2 * MIB), "large.bin")
        _in_a_child(partial(self._put_and_die, path, _dying_of_its_disk))
        left = _size_of(folder)
        store.tidy(time.time() - 3600.0)
        assert _size_of(folder) == left, "an upload that may be under way was removed"
        store.tidy(time.time() + 3600.0)
        assert _size_of(folder) == len(b"whole"), "something is left of an interrupted upload"
        assert [one.digest for one in store.contents()] == [whole]

    def _touched(self, digest: str) -> float:
        (touched,) = [one.touched for one in self._open().contents() if one.digest == digest]
        return touched

    @staticmethod
    def _until(condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {_DEADLINE_S:g} s: {what}"

    # --- faults ---------------------------------------------------------------------------------------------------

    def test_a_full_disk_leaves_nothing_half_there(self) -> None:
        self._needs_faults()
        store = self._open()
        store.put(self._file(b"small"))
        path = self._file(os.urandom(4 * MIB), "large.bin")
        digest = digest_of(path.read_bytes())
        with _disk_of(MIB), pytest.raises(ArtifactError):
            store.put(path)
        assert not store.exists(digest)
        assert store.put(path) == digest
        assert _read(store, digest) == path.read_bytes()

    def test_a_host_that_is_killed_leaves_nothing_half_there(self) -> None:
        """Whenever it dies: the bytes are whole or not there, and the next one can put them."""
        self._needs_faults()
        path = self._file(os.urandom(3 * MIB), "large.bin")
        content = path.read_bytes()
        digest = digest_of(content)
        last = self._moments_of(path)
        step = max(1, last // self.moments)
        deaths: list[Callable[[], object]] = [_dying_of_its_disk]
        deaths += [partial(_dying, moment) for moment in [*range(1, last, step), last]]
        for number, die in enumerate(deaths):
            self._open().delete(digest)
            _in_a_child(partial(self._put_and_die, path, die))
            store = self._open()
            if store.exists(digest):
                assert _read(store, digest) == content, f"death {number}: not all bytes are there"
            assert store.put(path) == digest
            assert _read(store, digest) == content, f"death {number}: they cannot be put any more"

    def _moments_of(self, path: Path) -> int:
        """How often a `put` calls the system, as far as the interpreter tells."""
        told, tell = os.pipe()

        def count() -> None:
            seen = _dying(0)
            self._open().put(path)
            os.write(tell, str(seen[0]).encode())

        code = _in_a_child(count)
        os.close(tell)
        number = os.read(told, 32)
        os.close(told)
        assert code == _WHOLE, "put fails in a process of its own"
        return int(number)

    def _put_and_die(self, path: Path, die: Callable[[], object]) -> None:
        die()
        self._open().put(path)


def digest_of(content: bytes) -> str:
    """What a store must call these bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _read(store: ArtifactStore, digest: str) -> bytes:
    with store.open(digest) as file:
        return file.read()


@contextlib.contextmanager
def _disk_of(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _dying(moment: int) -> list[int]:
    """Count the calls of the system from here on, and die at the one of this number; for a process of its own."""
    seen = [0]

    def hear(event: str, _details: object) -> None:
        if event.startswith(("open", "os.", "shutil.", "socket.", "tempfile.")):
            seen[0] += 1
            if seen[0] == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)
    return seen


def _dying_of_its_disk() -> None:
    """Let the system end this process in the middle of a large file; for a process of its own."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def _in_a_child(action: Callable[[], None]) -> int:
    """Do something in a copy of this process; its exit code, or minus the signal that ended it."""
    with warnings.catch_warnings():
        # Newer versions of Python warn of threads; none of them holds a lock that the copy needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = _WHOLE
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
