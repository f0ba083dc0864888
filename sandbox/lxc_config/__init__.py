"""LXC's configuration format, read and written. lxc.container.conf(5)."""
