"""Stand-in for the package `basicsr`: the modules that files of networks and losses import, where it is not installed.

Only the parts that such files use most are here. Written from the names and call signatures that such files rely on.
"""
