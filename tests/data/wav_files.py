"""Small recordings, sound and broken."""

import io
import struct
import wave

import numpy as np


def wav(samples, *, rate=8000, bits=16):
    """A file that Python's own module writes; `samples` are whole numbers (frames, channels)."""
    samples = np.asarray(samples)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if bits == 24:
        content = samples.astype("<i4")[..., None].view(np.uint8)[..., :3].tobytes()
    else:
        content = samples.astype({8: np.uint8, 16: "<i2", 32: "<i4"}[bits]).tobytes()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(content)
    return buffer.getvalue()


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def form(code=1, channels=1, rate=8000, block=2, bits=16, extra=b""):
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * block, block, bits) + extra
    )


def extensible(bits, code=1, channels=1):
    sub_format = struct.pack("<H", code) + bytes(14)
    extra = struct.pack("<HHI", 22, bits, 0) + sub_format
    return form(0xFFFE, channels, 8000, channels * bits // 8, bits, extra)


DATA = chunk(b"data", struct.pack("<4h", 1, -2, 3, -4))
SOUND = riff(form(), DATA)

BROKEN = {  # and why
    b"": "the file is empty",
    b"RIFF": "cut off",
    b"GIF89a" + bytes(60): "no WAV file",
    b"RIFX" + SOUND[4:]: "no WAV file",
    SOUND[:20]: "header is cut off",
    SOUND[:40]: "no data chunk",
    SOUND[:-2]: "says 4 samples, and holds 3",
    SOUND[:-8]: "says 4 samples, and holds 0",
    riff(form()): "no data chunk",
    riff(DATA): "no fmt chunk",
    riff(chunk(b"fmt ", b"\1\0"), DATA): "cut off",
    riff(form(), chunk(b"data", b"")): "no samples",
    riff(form(), chunk(b"data", b"\1")): "no samples",
    riff(form(85), DATA): "MP3 samples are not read",
    riff(form(1000), DATA): "format 1000 samples",
    riff(form(bits=12), DATA): "12 bits a sample",
    riff(form(3, bits=16), DATA): "16 bits a sample",
    riff(form(channels=0, block=0), DATA): "contradicts itself",
    riff(form(rate=0), DATA): "contradicts itself",
    riff(form(channels=3), DATA): "contradicts itself",
    riff(form(0xFFFE), DATA): "cut off",
    b"RIFF\xff\xff\xff\xffWAVE" + form() + b"data\xff\xff\xff\xff" + bytes(8): "says 2,147,483,647",
    b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff" + form() + DATA: "no data chunk",
}
