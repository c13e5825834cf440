"""Pictures: their colours, size and codec. Needs numpy alone; encoded pictures need the extra ``video``."""

from .pixels import PIXEL_FORMATS as PIXEL_FORMATS
from .pixels import PixelFormat as PixelFormat
from .shaping import PictureFit as PictureFit
from .shaping import PictureShape as PictureShape

__all__ = ["PIXEL_FORMATS", "PictureFit", "PictureShape", "PixelFormat"]
