"""BasicSR: its option files converted to srzoo's (`convert.py`), and its networks by name (`networks.py`).

Each of the other modules converts one part of an option file and is named after it. Written from the keys that the
option files of BasicSR, DRCT, HAT, Real-ESRGAN and Reflash Dropout use.
"""
