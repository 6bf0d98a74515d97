"""Image files upscaled by one or several devices; reading, computing and writing overlap."""

import errno
import logging
import queue
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from srzoo.data.listing import Fault
from srzoo.images import MAX_PIXELS, FileLayout, colour_profile, resolution, write_bands
from srzoo.infer.jobs import Job, reason
from srzoo.infer.picture import OpenPicture, open_picture, upscaled_bands
from srzoo.infer.upscale import Upscaler
from srzoo.progress import Meter

logger = logging.getLogger("srzoo")

# Outputs above this are computed and written row of tiles by row of tiles [pixels].
STREAMED_PIXELS = 64_000_000

# Errors that any other file would meet too.
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

# Seconds between looks at the request to stop, of threads that wait.
_LOOK = 0.2


@dataclass(frozen=True)
class Finished:
    """A job that is done: its target is written, or there is an error and no target."""

    job: Job
    error: Exception | None = None


class StoppedError(Exception):
    """Work that was given up, because the run stops or because of an error elsewhere in the same job."""


class BandPipe:
    """Bands of one image on their way from the network to its file; two wait at most.

    Args:
        stop: set when the whole run ends.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop, self._closed = stop, threading.Event()
        self._waiting: queue.Queue[np.ndarray | Exception | None] = queue.Queue(2)

    def put(self, band: np.ndarray | Exception | None) -> None:
        """Add a band; or None for the end; or an error, which the reader of the bands raises.

        Raises:
            StoppedError: nobody reads the bands any more.
        """
        while not self._ended():
            try:
                return self._waiting.put(band, timeout=_LOOK)
            except queue.Full:
                continue
        raise StoppedError

    def close(self) -> None:
        """Release the thread that adds bands."""
        self._closed.set()

    def __iter__(self) -> Iterator[np.ndarray]:
        while not self._ended():
            try:
                band = self._waiting.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if band is None:
                return
            if isinstance(band, Exception):
                raise StoppedError from band
            yield band
        raise StoppedError

    def _ended(self) -> bool:
        return self._closed.is_set() or self._stop.is_set()


def upscale_all(
    jobs: Sequence[Job], upscalers: Sequence[Upscaler], meter: Meter, *, max_pixels: int = MAX_PIXELS
) -> tuple[list[Job], list[Fault]]:
    """Upscale image files; return those that are written, and those that are not with their reasons.

    Raises:
        OSError: the disk is full or read-only, so that no other file could be written either.
    """
    written: list[Job] = []
    faults: list[Fault] = []
    # Closed here, and not some time later by Python: Ctrl-C waits for the threads.
    with closing(upscale_files(jobs, upscalers, max_pixels=max_pixels)) as finished:
        for done in finished:
            if isinstance(done.error, OSError) and done.error.errno in _HOPELESS:
                raise OSError(
                    done.error.errno, f"{done.error.strerror or done.error}; {len(written)} of {len(jobs)} are written"
                )
            if done.error is not None:
                faults.append(Fault(done.job.source, reason(done.error, done.job.source)))
                if not isinstance(done.error, ValueError | OSError):
                    logger.warning("%s: unexpected error", done.job.source, exc_info=done.error)
                continue
            written.append(done.job)
            meter.add(done.job.pixels)
    return written, faults


def upscale_files(
    jobs: Sequence[Job],
    upscalers: Sequence[Upscaler],
    *,
    max_pixels: int = MAX_PIXELS,
    streamed_pixels: int = STREAMED_PIXELS,
) -> Generator[Finished, None, None]:
    """Upscale image files; yield each when its output is written or has failed.

    Each upscaler works in a thread, all of them share the files. Closing the generator, as an error or Ctrl-C in its
    caller does, ends after the tiles that are being computed, and leaves no partial file.

    Args:
        jobs: the files; targets that exist are replaced.
        upscalers: one for each device.
        max_pixels: limit of what is decoded.
        streamed_pixels: larger outputs are computed and written row of tiles by row of tiles.
    """
    run = _Run(upscalers, max_pixels, streamed_pixels)
    with ExitStack() as stack:
        for upscaler in upscalers:
            stack.callback(upscaler.net.register_forward_pre_hook(run.refuse_when_stopped).remove)
        readers, writers, lanes = (stack.enter_context(ThreadPoolExecutor(len(upscalers))) for _ in range(3))
        # Called first on leaving: the pools wait for their threads, which end then.
        stack.callback(run.stop.set)
        ahead = _ahead(jobs, readers, run)
        working = [lanes.submit(run.work, upscaler, ahead, writers) for upscaler in upscalers]
        for _ in jobs:
            yield run.next_finished(working)


class _Run:
    """Shared parts of one call of :func:`upscale_files`."""

    def __init__(self, upscalers: Sequence[Upscaler], max_pixels: int, streamed_pixels: int) -> None:
        self.stop = threading.Event()
        self._max_pixels, self._streamed_pixels = max_pixels, streamed_pixels
        self._by_rows = all(upscaler.num_in_ch == 3 for upscaler in upscalers)
        self._finished: queue.Queue[Finished] = queue.Queue()
        self._lock = threading.Lock()
        # Images that are computed but not written yet.
        self._slots = threading.Semaphore(2 * len(upscalers))

    def refuse_when_stopped(self, net: nn.Module, images: object) -> None:
        """Raise StoppedError before the next tile."""
        del net, images
        if self.stop.is_set():
            raise StoppedError

    def read(self, job: Job) -> tuple[OpenPicture, FileLayout]:
        """Open the source; return it with the layout of the target, tags included."""
        by_rows = self._streamed(job) and (self._by_rows or job.header.grey)
        picture = open_picture(job.source, job.header, max_pixels=self._max_pixels, by_rows=by_rows)
        dpi = resolution(job.source)
        if dpi is not None and job.header.orientation >= 5:
            dpi = dpi[::-1]
        channels = 1 if job.layout.channels <= 2 else 3
        return picture, replace(job.layout, profile=colour_profile(job.source, channels), dpi=dpi)

    def work(
        self,
        upscaler: Upscaler,
        ahead: "Iterator[tuple[Job, Future[tuple[OpenPicture, FileLayout]]]]",
        writers: ThreadPoolExecutor,
    ) -> None:
        """Upscale files until none is left; the thread of one device."""
        while not self.stop.is_set():
            with self._lock:
                job, reading = next(ahead, (None, None))
            if job is None or reading is None:
                return
            try:
                picture, layout = reading.result()
            except Exception as error:
                self._finished.put(Finished(job, error))
                continue
            try:
                self._compute(upscaler, job, picture, layout, writers)
            finally:
                picture.close()

    def _compute(
        self, upscaler: Upscaler, job: Job, picture: OpenPicture, layout: FileLayout, writers: ThreadPoolExecutor
    ) -> None:
        while not self._slots.acquire(timeout=_LOOK):
            if self.stop.is_set():
                return
        pipe = BandPipe(self.stop)
        writing = writers.submit(write_bands, job.target, job.kind, layout, pipe)

        def written(future: "Future[None]") -> None:
            pipe.close()
            self._slots.release()
            error = future.exception()
            # An error of the network, on its way through the thread that writes.
            error = error.__cause__ or error if isinstance(error, StoppedError) else error
            self._finished.put(Finished(job, error if isinstance(error, Exception) else None))

        writing.add_done_callback(written)
        try:
            for band in upscaled_bands(upscaler, picture, layout, in_strips=self._streamed(job)):
                pipe.put(band)
            pipe.put(None)
        except StoppedError:
            return
        except Exception as error:
            pipe.put(error)

    def _streamed(self, job: Job) -> bool:
        return job.pixels > self._streamed_pixels

    def next_finished(self, working: Sequence["Future[None]"]) -> Finished:
        """Wait for the next job to be finished."""
        while True:
            try:
                return self._finished.get(timeout=_LOOK)
            except queue.Empty:
                # A mistake in this file would end a thread, and nothing would come any more.
                for lane in working:
                    if lane.done():
                        lane.result()


def _ahead(
    jobs: Iterable[Job], readers: ThreadPoolExecutor, run: _Run
) -> "Iterator[tuple[Job, Future[tuple[OpenPicture, FileLayout]]]]":
    """Yield each job with its picture, which is being read, and read the following one meanwhile."""
    waiting: deque[tuple[Job, Future[tuple[OpenPicture, FileLayout]]]] = deque()
    for job in jobs:
        waiting.append((job, readers.submit(run.read, job)))
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting
