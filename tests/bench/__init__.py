"""`make bench`: blixard beside the tools people use today, in turns, on the same disks, until durable."""
