"""Codecs: no block is given more room than its limit, whatever it would become."""

import bz2
import lzma
import tracemalloc
import zlib

import cramjam
import pytest

from decoder.codecs import decompress
from rejection import Reason, RejectedError

_ZEROS = bytes(20_000_000)
_BLOCKS = {
    "deflate": zlib.compress(_ZEROS)[2:-4],
    "bzip2": bz2.compress(_ZEROS),
    "xz": lzma.compress(_ZEROS),
    "zstandard": bytes(cramjam.zstd.compress(_ZEROS)),
    "snappy": bytes(cramjam.snappy.compress_raw(_ZEROS)) + zlib.crc32(_ZEROS).to_bytes(4, "big"),
}


@pytest.mark.parametrize("codec", _BLOCKS)
def test_block_is_decompressed_to_the_limit_only(codec: str) -> None:
    """What is over the limit is refused without being made."""
    tracemalloc.start()
    try:
        with pytest.raises(RejectedError, match="holds more than 1,000,") as caught:
            decompress(codec, _BLOCKS[codec], 1_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000  # 8 MB are what xz works with
    finally:
        tracemalloc.stop()
    assert caught.value.reason == Reason.TOO_LARGE


@pytest.mark.parametrize("codec", _BLOCKS)
def test_block_as_large_as_the_limit_is_read(codec: str) -> None:
    """The limit itself is taken."""
    assert decompress(codec, _BLOCKS[codec], len(_ZEROS)) == _ZEROS
