"""PNG's chunks. Source: the PNG specification, third edition, sections 5 and 11; section 11.3.3 for colour profiles."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers.header import UPRIGHT, Header, HeaderError, unpack_at
from trr_pipelines.imaging.headers.tiff import exif_orientation

_SIGNATURE_BYTES = 8
_FRAME_BYTES = 12  # length, name and checksum around a chunk's data

_TRANSPARENCY, _PROFILE = b"tRNS", b"iCCP"
_ANCILLARY_BIT = 0x20
_APPEARANCE = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"),
    *(b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"pHYs"),
}

_COLOUR_BYTES = {b"cLLI": 8, b"mDCV": 24, b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
_END = bytes(4) + b"IEND" + zlib.crc32(b"IEND").to_bytes(4, "big")

MAX_PROFILE_BYTES = 8_000_000


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    at: int
    length: int

    def data(self, file: bytes) -> bytes:
        return file[self.at + 8 : self.at + 8 + self.length]

    @property
    def end(self) -> int:
        return self.at + _FRAME_BYTES + self.length


def read_header(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise HeaderError("the first chunk is not IHDR")
    width, height = unpack_at(">II", data, 16)
    orientation = UPRIGHT
    animation_frames = 0
    is_first_frame_hidden = True
    has_pixels_before = False
    for chunk in _chunks(data):
        if chunk.name == b"eXIf":
            orientation = exif_orientation(chunk.data(data))
        elif chunk.name == b"acTL" and not has_pixels_before:
            (animation_frames,) = unpack_at(">I", data, chunk.at + 8)
        elif chunk.name == b"fcTL" and not has_pixels_before:
            is_first_frame_hidden = False
        elif chunk.name == b"IDAT":
            has_pixels_before = True
    # The picture for viewers without animation may be separate from it: it is shown, so it counts.
    frames = animation_frames + is_first_frame_hidden if 0 < animation_frames <= 0x8000_0000 else 1
    return Header(Size(width, height), orientation, frames)


def has_metadata(data: bytes) -> bool:
    """Whether it has a chunk that is not about the appearance of the picture."""
    return any(chunk.name not in _APPEARANCE for chunk in _chunks(data))


def is_truncated(data: bytes) -> bool:
    """Whether the last chunk is incomplete, or IEND is missing."""
    last = None
    for chunk in _chunks(data):
        last = chunk
    return last is None or last.end > len(data) or last.name != b"IEND"


def bare(data: bytes) -> tuple[bytes, bytes | None, str]:
    """The file with only what the decoder needs.

    Comments may unpack to gigabytes, and profiles and dates may be damaged; none of them must fail a photo.

    Returns: the file without ancillary chunks except transparency; the unpacked ICC profile or None; the reason if
    its profile is unusable, else "".
    """
    kept: list[bytes] = []
    profile: bytes | None = None
    problem = ""
    begin = 0
    pixels_at = [chunk.at for chunk in _chunks(data) if chunk.name == b"IDAT"] or [0]
    for chunk in _chunks(data):
        is_ancillary = chunk.name[0] & _ANCILLARY_BIT
        # A chunk between pixel chunks makes the file invalid: removing it would join unrelated pixel data.
        is_among_pixels = pixels_at[0] < chunk.at < pixels_at[-1]
        if is_ancillary and not is_among_pixels and chunk.name != _TRANSPARENCY and chunk.end <= len(data):
            kept.append(data[begin : chunk.at])
            begin = chunk.end
            if chunk.name == _PROFILE:
                profile, problem = _unpacked_profile(chunk.data(data))
    return (b"".join([*kept, data[begin:]]) if kept else data), profile, problem


@dataclass(frozen=True)
class ColourChunks:
    """Colour as a PNG describes it without an ICC profile.

    `code_points`: primaries, transfer, matrix and full-range flag of cICP; `gamma`: of gAMA, 0.0 without one;
    `chromaticities`: x and y of red, green, blue and white of cHRM; `peak`: the luminance in cd/m² of the brightest
    content (cLLI), else of the mastering display (mDCV), 0.0 without.
    """

    code_points: tuple[int, int, int, int] | None = None
    is_srgb: bool = False
    gamma: float = 0.0
    chromaticities: tuple[float, ...] | None = None
    peak: float = 0.0


def colour_chunks(data: bytes) -> ColourChunks:
    """The chunks about colour before the pixels; damaged ones are left out."""
    contents: dict[bytes, bytes] = {}
    for chunk in _chunks(data):
        if chunk.name in (b"IDAT", b"PLTE"):
            break
        if chunk.name in _COLOUR_BYTES and chunk.length >= _COLOUR_BYTES[chunk.name]:
            contents.setdefault(chunk.name, chunk.data(data))
    points, gamma, white = contents.get(b"cICP"), contents.get(b"gAMA"), contents.get(b"cHRM")
    xy = None
    if white is not None:
        values = [value / 100_000 for value in struct.unpack_from(">8I", white)]
        xy = (*values[2:], *values[:2])
    luminances = ((contents.get(b"cLLI"), 0), (contents.get(b"mDCV"), 16))
    peaks = [struct.unpack_from(">I", chunk, at)[0] / 10_000 for chunk, at in luminances if chunk]
    return ColourChunks(
        (points[0], points[1], points[2], points[3]) if points else None,
        b"sRGB" in contents,
        struct.unpack_from(">I", gamma)[0] / 100_000 if gamma else 0.0,
        xy,
        next((float(peak) for peak in peaks if peak), 0.0),
    )


def with_end(data: bytes) -> bytes:
    """The file with the IEND chunk that it lacks, if all its pixel chunks are complete; otherwise unchanged."""
    chunks = list(_chunks(data))
    complete = [chunk for chunk in chunks if chunk.end <= len(data)]
    has_all_pixels = any(chunk.name == b"IDAT" for chunk in complete) and b"IDAT" not in {
        chunk.name for chunk in chunks[len(complete) :]
    }
    if not has_all_pixels or complete[-1].name == b"IEND":
        return data
    return data[: complete[-1].end] + _END


def bit_depth(data: bytes) -> int:
    """Bits of each sample: 1, 2, 4, 8 or 16."""
    return data[24]


def _unpacked_profile(chunk: bytes) -> tuple[bytes | None, str]:
    _, _, packed = chunk.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error as error:
        return None, str(error)
    if not unpacker.eof:
        return None, f"unpacks to more than {MAX_PROFILE_BYTES:,} bytes" if unpacker.unconsumed_tail else "truncated"
    return profile, ""


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Every chunk with a complete head, up to IEND; the last one may be incomplete."""
    at = _SIGNATURE_BYTES
    while at + 8 <= len(data):
        chunk = _Chunk(data[at + 4 : at + 8], at, int.from_bytes(data[at : at + 4], "big"))
        yield chunk
        if chunk.name == b"IEND":
            return
        at = chunk.end
