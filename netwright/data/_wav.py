"""Read recordings: WAV files of whole numbers (8, 16, 24 or 32 bits) or of floats, little-endian.

Numbers become -1 to 1, channels stay apart. The header is not trusted: nothing is read beyond what
the file holds, and a file that holds less than it says is refused. Compressed recordings are
refused too.

Source:   Microsoft, IBM. Multimedia Programming Interface and Data Specifications 1.0, 1991 (RIFF);
          Microsoft. Multiple channel audio data and WAVE files, 2001 (WAVE_FORMAT_EXTENSIBLE).
"""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["ENDING", "Recording", "is_recording", "read_recording", "read_samples"]

ENDING = ".wav"
_WHOLE, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CHUNKS = 1000  # parts of a file that are looked through
_CUT = "the WAV header is cut off"
_COMPRESSED = {2: "ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 49: "GSM", 85: "MP3"}


@dataclass(frozen=True, slots=True)
class Recording:
    """What the header of a recording says, checked against the file.

    Attributes:
        channels: how many there are.
        rate: samples a second, of each channel.
        frames: samples of each channel.
        bits: of a sample.
        floats: whether samples are floating-point numbers.
        start: where the samples begin, in bytes.
    """

    channels: int
    rate: int
    frames: int
    bits: int
    floats: bool
    start: int


def is_recording(item: object) -> bool:
    """Say whether an item is a recording rather than numbers.

    Args:
        item: of a list of sequences.
    """
    return isinstance(item, (Path, bytes))


def read_recording(item: Path | bytes) -> Recording | str:
    """Read the header of a recording.

    Args:
        item: a path, or the content of a file.

    Returns:
        The header; or why the recording cannot be used.
    """
    try:
        with _opened(item) as file:
            return _header(file)
    except FileNotFoundError:
        return "the file does not exist"
    except OSError as error:
        return f"the file cannot be read: {error}"
    except struct.error:
        return _CUT


def _opened(item: Path | bytes) -> io.BufferedIOBase:
    return io.BytesIO(item) if isinstance(item, bytes) else open(item, "rb")


def _header(file: io.BufferedIOBase) -> Recording | str:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if not size:
        return "the file is empty"
    riff, _, kind = struct.unpack("<4sI4s", file.read(12))
    if (riff, kind) != (b"RIFF", b"WAVE"):
        return "it is no WAV file"
    form: bytes | None = None
    for _ in range(_CHUNKS):
        if file.tell() + 8 > size:
            break
        name, length = struct.unpack("<4sI", file.read(8))
        start = file.tell()
        if name == b"data":
            return _checked(form, start, length, size - start)
        if name == b"fmt ":
            form = file.read(min(length, 40))
            if len(form) < min(length, 40):
                return _CUT
        file.seek(min(size, start + length + length % 2))  # chunks begin at even places
    return "the WAV file has no samples: there is no data chunk"


def _checked(form: bytes | None, start: int, length: int, left: int) -> Recording | str:
    if form is None:
        return "the WAV header does not say what its samples are: there is no fmt chunk before them"
    code, channels, rate, _, block, bits = struct.unpack("<HHIIHH", form[:16])
    if code == _EXTENSIBLE:
        code = struct.unpack("<H", form[24:26])[0]  # the sub-format's first bytes
    if code not in (_WHOLE, _FLOAT):
        return f"WAV files of {_COMPRESSED.get(code, f'format {code}')} samples are not read"
    if bits not in ((32, 64) if code == _FLOAT else (8, 16, 24, 32)):
        return f"WAV files of {bits} bits a sample are not read"
    if not channels or not rate or block != channels * bits // 8:
        return (
            f"the WAV header contradicts itself: {channels} channels of {bits} bits at {rate} a "
            f"second in blocks of {block} bytes"
        )
    frames = length // block
    if length > left:
        return f"the file is cut off: it says {frames:,} samples, and holds {left // block:,}"
    if not frames:
        return "the recording has no samples"
    return Recording(channels, rate, frames, bits, code == _FLOAT, start)


def read_samples(item: Path | bytes, header: Recording, most: int) -> np.ndarray:
    """Read the samples of a recording.

    Args:
        item: as in `read_recording`.
        header: what that returned.
        most: samples of a channel; more are not read.

    Returns:
        Whole numbers as -1 to 1, floats as they are; float32 or float64 (channels, frames).

    Raises:
        OSError: if the file cannot be read, or has become shorter.
    """
    frames = min(most, header.frames)
    wanted = frames * header.channels * header.bits // 8
    with _opened(item) as file:
        file.seek(header.start)
        content = file.read(wanted)
    if len(content) < wanted:
        raise OSError(f"{item!s:.80} has become shorter since its header was read.")
    return _numbers(content, header).reshape(-1, header.channels).T


def _numbers(content: bytes, header: Recording) -> np.ndarray:
    if header.floats:
        return np.frombuffer(content, f"<f{header.bits // 8}")
    if header.bits == 8:  # unsigned, unlike the others
        return (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / 128
    if header.bits == 24:
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / np.float64(1 << 31)).astype(np.float32)
    whole = np.frombuffer(content, f"<i{header.bits // 8}")
    return (whole / np.float64(1 << (header.bits - 1))).astype(np.float32)
