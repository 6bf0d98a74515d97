"""Memory that was freed: kept by the C library for the next allocation, or returned to the system.

glibc returns large blocks at once and asks for them again: each page of a new feature map is then a page fault and
cleared by the system, a tenth of the time of a training step on a CPU. glibc only; elsewhere nothing changes.
"""

import ctypes

# Parameters of mallopt(3): free memory at the end of the heap above which it is returned [bytes], and the number of
# blocks that are borrowed from the system one by one.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed() -> None:
    """Keep memory that this process, and those that it forks later, free: up to 2 GiB at the end of the heap."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def return_freed() -> None:
    """Return freed memory to the system; every process that is forked later would keep it otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
