"""benchmarks/profile.py: samples of stacks become shares of the CPU."""

from benchmarks import profile

LOOP = "main (benchmarks/contender.py:104);Runner.run (asyncio/runners.py:118)"


def test_a_sample_belongs_to_its_innermost_known_frame() -> None:
    """A library that serves two kinds is that of its caller; a call of the app's into a library is the library's."""
    stacks = {
        "CRC64": f"{LOOP};stage (recording/ingest/transfer.py:1);crc64 (recording/crc64.py:14);crc (libfast.so)",
        "TLS": f"{LOOP};SSLProtocol.read (asyncio/sslproto.py:9);SSL_read (libssl.so.3);0x7f (libcrypto.so.3)",
        "SHA-256": "Thread._bootstrap (threading.py:1);EVP_hash (_hashopenssl.c:489);0x7f (libcrypto.so.3)",
        "sockets: sending": f"{LOOP};write (aiohttp/http_writer.py:1);UVStream__try_write (loop.c:1);write (libc.so.6)",
        "this app": f"{LOOP};commit (recording/ingest/chunk.py:1);memmove (libc.so.6)",
        "the rest": f"{LOOP};loads (json/__init__.py:1)".replace("asyncio/", ""),
    }

    assert {profile.kind(stack) for stack in stacks.values()} == set(stacks)
    assert [profile.kind(stack) for stack in stacks.values()] == list(stacks)


def test_what_waits_or_imports_is_not_counted() -> None:
    """The shares are of what works, in the loop and in the other threads."""
    waits = (
        "Thread._bootstrap (threading.py:1);_worker (concurrent/futures/thread.py:89);_queue_SimpleQueue_get (x.c:1)"
    )
    imports = f"{LOOP};_find_and_load (<frozen importlib._bootstrap>:1);<module> (aiohttp/__init__.py:1)"
    commits = f"{LOOP};commit_block_list (blob/aio/_blob_client_async.py:1)"
    sends, hashes = f"{LOOP};send (libc.so.6)", "Thread._bootstrap (threading.py:1);EVP_hash (_hashopenssl.c:489)"

    text = f"{waits} 50\n{imports} 40\n{sends} 3\n{commits} 1\n{hashes} 7\ngc_collect_main (libpython.so);0x1 (?) 9\n"

    assert profile.shares(text, "loop") == {"sockets: sending": 0.75, "clients of Azure": 0.25}
    assert profile.shares(text, "others") == {"SHA-256": 1.0}
