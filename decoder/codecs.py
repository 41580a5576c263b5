"""A container's block, decompressed to a bound: no codec is given more room than the limit.

https://avro.apache.org/docs/1.12.0/specification/#required-codecs
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

from rejection import Reason, RejectedError

_CRC_BYTES = 4
# An encoder's largest preset takes 65 MB to decompress, and a header can ask for 4 GB.
# https://tukaani.org/xz/
_XZ_MEMORY = 80_000_000


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool:
        """Whether the end was reached."""

    @property
    def unused_data(self) -> bytes:
        """What follows it."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return at most so many bytes."""


def decompress(codec: str, block: bytes, limit: int) -> bytes:
    """Return the block's bytes.

    Raises:
        RejectedError: undecodable, an unknown codec or a broken block; too_large, it holds more than `limit`
            bytes.
    """
    if codec == "null":
        return block
    decompressor = _CODECS.get(codec)
    if decompressor is None:
        known = ", ".join(("null", *_CODECS))
        raise RejectedError(
            Reason.UNDECODABLE, f"an Avro object container with codec {codec[:40]!r}: {known} are read"
        )
    try:
        data = decompressor(block, limit)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, MemoryError) as error:
        raise RejectedError(
            Reason.UNDECODABLE, f"a block of the Avro object container is not {codec}: {str(error)[:200]}"
        ) from error
    if len(data) > limit:
        raise RejectedError(
            Reason.TOO_LARGE,
            f"a {codec} block of {len(block):,} bytes holds more than {limit:,}, the topic's limit",
        )
    return data


def _stream(decompressor: _Decompressor, block: bytes, limit: int, checksum: int = 0) -> bytes:
    data = decompressor.decompress(block, limit + 1)
    if len(data) <= limit and not decompressor.eof:
        raise EOFError("it is cut short")
    if len(decompressor.unused_data) > checksum:
        raise ValueError(f"{len(decompressor.unused_data)} bytes follow it")
    return data


def _deflate(block: bytes, limit: int) -> bytes:
    # Some encoders, fastavro's too, leave zlib's checksum behind the data, or most of it.
    return _stream(zlib.decompressobj(-15), block, limit, _CRC_BYTES)


def _bzip2(block: bytes, limit: int) -> bytes:
    return _stream(bz2.BZ2Decompressor(), block, limit)


def _xz(block: bytes, limit: int) -> bytes:
    return _stream(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), block, limit)


def _snappy(block: bytes, limit: int) -> bytes:
    """Snappy says its size first; the checksum of the data stands behind it."""
    import cramjam  # noqa: PLC0415 - few containers need it, and a cold start should not wait

    body, checksum = block[:-_CRC_BYTES], block[-_CRC_BYTES:]
    try:
        if cramjam.snappy.decompress_raw_len(body) > limit:
            return bytes(limit + 1)
        data = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise ValueError(str(error)) from error
    if zlib.crc32(data).to_bytes(_CRC_BYTES, "big") != checksum:
        raise ValueError("its checksum is another")
    return data


def _zstandard(block: bytes, limit: int) -> bytes:
    import cramjam  # noqa: PLC0415 - as above

    data = bytearray(limit)
    try:
        size = cramjam.zstd.decompress_into(block, data)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):  # it has no class for a buffer that is full
            return bytes(limit + 1)
        raise ValueError(str(error)) from error
    return bytes(memoryview(data)[:size])


_CODECS: dict[str, Callable[[bytes, int], bytes]] = {
    "deflate": _deflate,
    "bzip2": _bzip2,
    "snappy": _snappy,
    "zstandard": _zstandard,
    "xz": _xz,
}
