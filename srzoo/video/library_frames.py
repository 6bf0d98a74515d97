"""Frames of videos, decoded and encoded in this process by the package av."""

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from srzoo.video.clip import ENCODERS, Video
from srzoo.video.frames import FrameReader, FrameWriter, decoding, encoding, tags_to_write
from srzoo.video.library import NAMES, TAGS, UPRIGHT, opened, reason_of, reported, video_stream
from srzoo.video.programs import file_name

if TYPE_CHECKING:
    import av
    from av.filter import Graph
    from av.filter.context import FilterContext
    from av.packet import Packet
    from av.video.stream import VideoStream


def _chain(graph: "Graph", source: "FilterContext", filters: Sequence[tuple[str, str]]) -> None:
    """Link filters, given with their arguments, between a source and the end of a graph."""
    nodes = [graph.add(name, arguments or None) for name, arguments in filters]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()


class LibraryReader(FrameReader):
    """Frames decoded in this process."""

    def __init__(self, clip: Video) -> None:
        super().__init__(clip)
        self._container = opened(clip.path)
        stream = video_stream(self._container)
        stream.thread_type = "AUTO"
        self._frames = self._container.decode(stream)
        self._graph: Graph | None = None
        self._open = contextlib.ExitStack()
        self._errors = self._open.enter_context(reported())

    def close(self) -> None:
        self._container.close()
        self._open.close()

    def read(self) -> np.ndarray | None:
        from av.error import FFmpegError

        try:
            frame = next(self._frames, None)
        except FFmpegError as error:
            raise self.damaged(reason_of(error)) from error
        # Libraries conceal damage, and report it.
        if self._errors:
            raise self.damaged(self._errors[-1][-1].strip())
        if frame is None:
            if self.count != self.clip.frames:
                raise self.damaged("")
            return None
        if self._graph is None:
            self._graph = self._converting(frame)
        self._graph.vpush(frame)
        self.count += 1
        return self._graph.vpull().to_ndarray()

    def _converting(self, frame: "av.VideoFrame") -> "Graph":
        """Return filters from frames like this one to upright RGB."""
        from av.filter import Graph

        graph = Graph()
        pixels = "rgb24" if self.clip.bits == 8 else "rgb48le"
        filters = [*UPRIGHT[frame.rotation % 360], ("scale", decoding(self.clip)), ("format", pixels)]
        _chain(graph, graph.add_buffer(template=video_stream(self._container)), filters)
        return graph


class LibraryWriter(FrameWriter):
    """Frames encoded in this process.

    Args:
        path: see :class:`FrameWriter`.
        clip: see :class:`FrameWriter`.
        size: (H, W) of the frames [pixels].
    """

    def __init__(self, path: Path, clip: Video, size: tuple[int, int]) -> None:
        from av.error import FFmpegError

        super().__init__(path, clip)
        self._source = opened(clip.path)
        self._waiting: tuple[Fraction, Packet] | None = None
        self._packets = self._sound_packets()
        self._pixels = "rgb24" if clip.bits == 8 else "rgb48le"
        try:
            self._open(size)
            self._graph = self._converting(size)
        except (FFmpegError, ValueError) as error:  # an encoder or a pairing that the libraries lack
            self.temporary.unlink()
            raise self.failure(reason_of(error)) from error

    def _open(self, size: tuple[int, int]) -> None:
        """Open the temporary file with a stream for the picture and one for each of the sound."""
        import av

        clip = self.clip
        encoder, *settings = ENCODERS[self.path.suffix.lower()]
        options = {key.removeprefix("-"): value for key, value in zip(settings[::2], settings[1::2], strict=True)}
        muxing = {key: options.pop(key) for key in ("movflags",) if key in options}
        self._container = av.open(file_name(self.temporary), "w", options=muxing)
        self._container.metadata.update(self._source.metadata)
        self._stream = cast("VideoStream", self._container.add_stream(encoder, rate=clip.rate, options=options))
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = clip.output_format(size)
        context = self._stream.codec_context
        context.time_base, context.sample_aspect_ratio = 1 / clip.rate, clip.pixel_aspect
        for option, value in tags_to_write(clip).items():
            attribute, kind = TAGS[option]
            numbers = {name: number for number, name in NAMES[kind].items()}
            if value in numbers:  # as it was read, but for names that only the programs have
                setattr(context, attribute, numbers[value])
        self._sound = {
            stream.index: self._container.add_stream_from_template(stream) for stream in self._source.streams.audio
        }

    def _converting(self, size: tuple[int, int]) -> "Graph":
        """Return filters from RGB to the samples of the encoder."""
        import av
        from av.filter import Graph

        graph = Graph()
        pixels = av.VideoFormat(self._pixels, size[1], size[0])
        source = graph.add_buffer(width=size[1], height=size[0], format=pixels, time_base=1 / self.clip.rate)
        samples = self.clip.output_format(size)
        aspect = str(self.clip.pixel_aspect)
        _chain(graph, source, [("scale", encoding(self.clip)), ("format", samples), ("setsar", aspect)])
        return graph

    def _sound_packets(self) -> Iterator["tuple[Fraction, Packet]"]:
        """Yield the packets of the clip's sound with their times, which begin with the file [s]."""
        start = Fraction(self._source.start_time or 0, 1_000_000)
        streams = list(self._source.streams.audio)
        if not streams:
            return
        for packet in self._source.demux(streams):
            if not packet.size:
                continue
            shift = round(start / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            time = (packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base
            packet.stream = self._sound[packet.stream_index]
            yield time, packet

    def write(self, frame: np.ndarray) -> None:
        import av
        from av.error import FFmpegError

        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=self._pixels)
        picture.pts, picture.time_base = self.count + round(self.clip.start * self.clip.rate), 1 / self.clip.rate
        try:
            self._graph.vpush(picture)
            self._mux(self._stream.encode(self._graph.vpull()))
        except FFmpegError as error:
            raise self.failure(reason_of(error)) from error
        self.count += 1

    def _mux(self, pictures: "Sequence[Packet]") -> None:
        """Write packets of the picture, each after the sound that comes before it."""
        for picture in pictures:
            self._mux_sound((picture.dts or 0) * picture.time_base)
            self._container.mux(picture)

    def _mux_sound(self, until: Fraction | None) -> None:
        """Write the packets of the sound up to a time, None: all [s]."""
        while (waiting := self._waiting or next(self._packets, None)) is not None:
            self._waiting = waiting
            if until is not None and waiting[0] > until:
                return
            self._container.mux(waiting[1])
            self._waiting = None

    def finish(self) -> None:
        from av.error import FFmpegError

        try:
            self._mux(self._stream.encode(None))
            self._mux_sound(None)
            self._container.close()
        except FFmpegError as error:
            raise self.failure(reason_of(error)) from error

    def close(self) -> None:
        self._source.close()
        self._container.close()
