"""What runs the VMs of a cluster: adapters of `ports.Hypervisor`."""
