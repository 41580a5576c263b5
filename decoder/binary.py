"""Avro's binary encoding of numbers, bytes and text, held to the specification.

https://avro.apache.org/docs/1.12.0/specification/#primitive-types-1
"""

_MAX_LONG_BYTES = 10


class WalkError(ValueError):
    """What is wrong with the bytes, at which of them, in which field; `over` when a limit is."""

    def __init__(self, at: int, said: str, *, over: bool = False) -> None:
        super().__init__(said)
        self.at = at
        self.over = over
        self.path: list[str] = []


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Return the int or long that begins at a byte, and where it ends.

    Raises:
        WalkError: the bytes end, or a shorter form or no int64 is what they spell.
    """
    if at < len(data) and (byte := data[at]) < 0x80:  # noqa: PLR2004 - most are of one byte
        return (byte >> 1) ^ -(byte & 1), at + 1
    number = shift = 0
    for end in range(at, min(at + _MAX_LONG_BYTES, len(data))):
        byte = data[end]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a number
            if byte == 0 and end > at:
                raise WalkError(at, f"a number of {end - at + 1} bytes that fewer can hold")
            if number >= 2**64:
                break
            return (number >> 1) ^ -(number & 1), end + 1
        shift += 7
    if at + _MAX_LONG_BYTES > len(data):
        raise WalkError(len(data), "the bytes end within a number")
    raise WalkError(at, "a number of more than 64 bits")


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the bytes that begin with their length, and where they end; raises as read_long."""
    size, start = read_long(data, at)
    if size < 0:
        raise WalkError(at, f"a length of {size} bytes")
    return read_sized(data, start, size)


def read_sized(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """Return so many bytes, and where they end; raises as read_long."""
    end = at + size
    if end > len(data):
        raise WalkError(at, f"{size} bytes are to follow, {len(data) - at} do")
    return data[at:end], end


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """Return the string that begins with its length, and where it ends; raises as read_long."""
    raw, end = read_bytes(data, at)
    try:
        return raw.decode(), end
    except UnicodeDecodeError as error:
        start = end - len(raw) + error.start
        raise WalkError(start, f"not UTF-8: {error.reason} (byte 0x{raw[error.start]:02x})") from error
