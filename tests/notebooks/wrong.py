"""For each exercise an answer that is nearly right, as a student may give it: its check must say so."""

#: By lesson and exercise.
WRONG = {
    ("01_process", "exercise-1"): "my_pid = os.getpid()",
    ("01_process", "exercise-2"): "sandbox.launch('busybox', 'sleep 3600', name='twin')",
    ("01_process", "exercise-3"): "sandbox.launch('busybox', 'sleep 3600', name='bare', cap_drop='CHOWN')",
    ("02_lxc", "exercise-1"): "lxc('lxc-create -t busybox -n web')\nlxc('lxc-copy -n web -N web2')\nlxc('lxc-start -n web2')",
    ("02_lxc", "exercise-2"): "lxc('lxc-create -t busybox -n pluto')\nlxc('lxc-start -n pluto')",
    ("02_lxc", "exercise-3"): "lxc('lxc-snapshot -n broken -r snap0')\n"
    "(SHELF / 'broken/rootfs/root/diary').unlink()\nlxc('lxc-start -n broken')",
    ("03_namespaces", "exercise-1"): "my_prediction = dict.fromkeys(my_prediction, 'uts')",
    ("03_namespaces", "exercise-2"): "my_pid = guest.info().pid",
    ("03_namespaces", "exercise-3"): "my_fd = os.open('/proc/self/ns/uts', os.O_RDONLY)\n"
    "my_user_fd = os.open('/proc/self/ns/user', os.O_RDONLY)",
    ("04_pid", "exercise-1"): "my_init = 'exec sleep 3600'",
    ("04_pid", "exercise-2"): "sandbox.launch('busybox', 'unshare -p -f sleep 3600', name='nest', cap_add='SYS_ADMIN')",
    ("04_pid", "exercise-3"): "sandbox.launch('busybox', 'exec sleep 98765', name='daemon')",
    ("05_mounts", "exercise-1"): "job = house.spawn('exec unshare -m --propagation shared sh -c "
    "\\'mount -t tmpfs own /tmp; exec sleep 7001\\'')",
    ("05_mounts", "exercise-2"): "house.exec('mount --make-shared /media')\n"
    "job2 = house.spawn('exec unshare -m --propagation shared sleep 7002')",
    ("06_chroot-pivot", "exercise-1"): "job = prison.spawn('exec chroot /srv/jail sleep 12345')",
    ("06_chroot-pivot", "exercise-2"): "puzzle.skip('SetCapabilities')\npuzzle.skip('InstallSeccomp')\npuzzle.run()",
    ("08_memory-pids", "exercise-1"): "limit = need * 1.5",
    ("08_memory-pids", "exercise-2"): "tight.update(memory='64m')",
    ("09_cpu-io-freezer", "exercise-1"): "turn('left', cpu_weight='150', cpu_shares='1536')",
    ("09_cpu-io-freezer", "exercise-2"): "turn('right', cpu_max='1000 100000', cpu_cfs_quota_us='1000')",
    ("07_users", "exercise-1"): "lodger.exec('mkdir /tmp/gift')",
    ("07_users", "exercise-2"): "import time\nprocess = subprocess.Popen(['unshare', '--user', 'sleep', '3'])\n"
    "time.sleep(0.2)\nmy_pid = process.pid",
    ("12_network", "exercise-1"): "on('host', f'ip link set {link} up')",
    ("12_network", "exercise-2"): "on('host', f'sandbox run -d --name door -p 9090:80 {SERVE}')",
    ("12_network", "exercise-3"): "for name in ('front', 'back'):\n"
    "    on('host', f'sandbox run -d --name {name} --network bridge busybox sleep 3600')",
    ("14_system-containers", "exercise-1"): "sandbox.launch('busybox', 'exec sleep 3600', name='reaper')",
    ("14_system-containers", "exercise-2"): "lxc('lxc-create -q -t busybox -n beating')\n"
    "(SHELF / 'beating/rootfs/etc/inittab').write_text('::once:sleep 12345\\n')\n"
    "lxc('lxc-start -n beating -d')\ntime.sleep(1)",
    ("14_system-containers", "exercise-3"): "config.write_text(given.replace('halt = SIGHUP', 'halt = SIGWINCH'))",
}
