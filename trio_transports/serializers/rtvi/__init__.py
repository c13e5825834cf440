"""RTVI, what Pipecat's browser, mobile and Python clients speak. Needs the extra ``protobuf``."""

from .serializer import RTVIFrameSerializer as RTVIFrameSerializer

__all__ = ["RTVIFrameSerializer"]
