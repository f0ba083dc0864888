"""Maps of what is there now: which process is in which namespaces, and which cable leads where.

Read from the kernel, of everybody's processes and not only of our containers. Each map is plain data whose str() is a table.
"""
