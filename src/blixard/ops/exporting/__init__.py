"""`cluster export`: the state and disks of a cluster into one document."""
