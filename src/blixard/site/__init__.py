"""What a verb stands on: the open cluster, this node, who acts, settings, quantities, the network."""
