"""The only doors to the kernel: system calls, and the text files it shows under /proc, /sys and the cgroup trees.

Names are those of the man pages. Nothing here knows what a container is, and nothing here imports the rest of the project.
"""
