"""Encoders of H.264: this module has what ffmpeg is told for each, hardware first. Pure.

None is believed to be there because ffmpeg lists it, nor because a device has the right name: each is tried.
"""

from collections.abc import Callable
from dataclasses import dataclass

SOFTWARE = "libx264"


@dataclass(frozen=True, slots=True)
class Encoder:
    """``before`` goes before the inputs, ``form`` ends the chain of filters, ``options`` follow the codec's name."""

    name: str
    form: str
    options: Callable[[int], tuple[str, ...]]
    before: tuple[str, ...] = ()

    @property
    def is_hardware(self) -> bool:
        return self.name != SOFTWARE


def _average(kbits: int) -> tuple[str, ...]:
    """An average rate: boards' encoders know little else."""
    return ("-b:v", f"{kbits * 3 // 4}k", "-g", "120")


def _capped(kbits: int) -> tuple[str, ...]:
    return ("-b:v", f"{kbits * 3 // 4}k", "-maxrate", f"{kbits}k", "-bufsize", f"{kbits * 2}k", "-g", "120")


def _vaapi(kbits: int) -> tuple[str, ...]:
    return ("-profile:v", "high", "-level:v", "41", *_capped(kbits))


def _qsv(kbits: int) -> tuple[str, ...]:
    return ("-profile:v", "high", *_capped(kbits))


def _nvenc(kbits: int) -> tuple[str, ...]:
    return ("-profile:v", "high", *_capped(kbits))


def _v4l2(kbits: int) -> tuple[str, ...]:
    return (*_average(kbits), "-num_capture_buffers", "16")


def _x264(kbits: int) -> tuple[str, ...]:
    quality = ("-preset", "veryfast", "-crf", "22", "-maxrate", f"{kbits}k", "-bufsize", f"{kbits * 2}k")
    return ("-profile:v", "high", "-level:v", "4.1", *quality, "-g", "120")


ENCODERS = (
    Encoder("h264_v4l2m2m", "format=yuv420p", _v4l2),
    Encoder("h264_vaapi", "format=nv12,hwupload", _vaapi, ("-vaapi_device", "/dev/dri/renderD128")),
    Encoder("h264_qsv", "format=nv12", _qsv),
    Encoder("h264_nvenc", "format=yuv420p", _nvenc),
    Encoder("h264_rkmpp", "format=nv12", _average),
    Encoder(SOFTWARE, "format=yuv420p", _x264),
)
"""In the order in which they are tried: Raspberry Pi 4 (V4L2), Intel and AMD (VA-API), Intel, Nvidia, Rockchip."""
