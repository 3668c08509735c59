"""The bytes of an export file to the model's values and back, streaming: no path, no socket.

`reader` and `writer` are the two directions; `index` finds its way in a file that can be sought in, `resync` and `hunt`
in one that is damaged.
"""
