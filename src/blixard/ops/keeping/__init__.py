"""What is kept and what is given back: undo entries, staged disks, leftovers, stamps."""
