"""The frozen values that everything else speaks: cluster, nodes, VMs, disks, records, and their JSON form.

`structs` says what there is, `codec` turns JSON objects into structs and back with every field checked, `canonical` is
RFC 8785, `digests` names states and documents. No path, no socket, no clock.
"""
