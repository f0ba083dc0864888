/* The referee: our default container, written in C.
 *
 * It makes the kernel calls of the default plan, in the plan's order, and nothing else: no JSON, no trace, no ledger, no
 * keeper. What `sandbox.run` costs above this program is the price of being a plan that can be read, stepped and traced.
 *
 *   container [-s] [-b BASE] [-f FILTER] [-k CAPS] -l LAYER… [-g GROUP]… [-w FILE=VALUE]… [-m PATH]… [-r PATH]… -- COMMAND…
 *
 *   -s  serve: one container for each line on standard input; "nanoseconds exit-status" goes to standard output
 *   -b  first host id of the 65,536 that the container gets     -f  file with a compiled seccomp filter (struct sock_filter[])
 *   -k  capabilities that stay, a hexadecimal mask              -l  layer folder, lowest first
 *   -g  folder to make in a cgroup tree, join, and remove       -w  value to write in such a folder, before it is joined
 *   -m  path to mask      -r  path to make read-only (both only if it exists)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX 64
#define LOCKS "/run/systemd/nspawn-uid" /* where systemd-nspawn locks the ranges it uses, machine-wide */
#define ROOT "/tmp/root"                /* below the child's own tmpfs on /tmp: the host's /tmp is only covered, and only there */

typedef struct { const char *at[MAX]; int count; } List;

static unsigned long base = 1878982656; /* the last range of systemd's container ids, 524288 … 1879048191 */
static unsigned long long caps;
static List layers, groups, limits, masks, readonly;
static struct sock_fprog filter;
static char **command;

static void die(const char *what, const char *path) {
    fprintf(stderr, "container: %s %s: %s\n", what, path, strerror(errno));
    _exit(125);
}
#define CHECK(call, path) do { if ((call) < 0) die(#call, path); } while (0)

/* A text put together as printf does; good until the next call. */
static const char *text(const char *format, ...) {
    static char buffer[600];
    va_list values;
    va_start(values, format);
    vsnprintf(buffer, sizeof buffer, format, values);
    va_end(values);
    return buffer;
}

static void put(const char *value, const char *path) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd, path);
    CHECK(write(fd, value, strlen(value)), path);
    close(fd);
}

/* --- inside: PID 1 of the new world ------------------------------------------------------------------------------- */

static void file_system(const char *type, const char *target, unsigned long flags, const char *options) {
    if (mkdir(target, 0755) < 0 && errno != EEXIST) die("mkdir", target);
    CHECK(mount(type, target, type, flags, options), target);
}

/* A bind mount with attributes in three calls; mount(2) would need a second one to remount. */
static void attach(const char *source, const char *target, unsigned attributes) {
    int fd = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    CHECK(fd, source);
    struct mount_attr attr = {.attr_set = attributes};
    if (attributes) CHECK(mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr), target);
    CHECK(move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), target);
    close(fd);
}

static void overlay(int trees[]) {
    static const char *const folders[] = {"/tmp/upper", "/tmp/work", ROOT};
    CHECK(mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64m"), "/tmp");
    for (int i = 0; i < 3; i++) CHECK(mkdir(folders[i], 0755), folders[i]);
    int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    CHECK(fs, "overlay");
    for (int i = layers.count - 1; i >= 0; i--) { /* overlay wants the topmost first */
        const char *path = text("/tmp/layer%d", i);
        CHECK(mkdir(path, 0755), path);
        CHECK(move_mount(trees[i], "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), path);
        close(trees[i]);
        CHECK(fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", path, 0), path);
    }
    CHECK(fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", "/tmp/upper", 0), "upperdir");
    CHECK(fsconfig(fs, FSCONFIG_SET_STRING, "workdir", "/tmp/work", 0), "workdir");
    CHECK(fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0), "userxattr");
    CHECK(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "overlay");
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    CHECK(move_mount(fd, "", AT_FDCWD, ROOT, MOVE_MOUNT_F_EMPTY_PATH), ROOT);
    close(fd), close(fs);
}

static void furnish(void) {
    static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const char *const links[][2] = {{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
                                           {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}};
    struct stat info;
    file_system("proc", ROOT "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    file_system("sysfs", ROOT "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
    file_system("tmpfs", ROOT "/dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=64k");
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) { /* mknod is refused in a user namespace: borrow the host's */
        const char *target = text(ROOT "/dev/%s", nodes[i]);
        close(open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
        attach(target + strlen(ROOT), target, 0);
    }
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++)
        CHECK(symlink(links[i][0], text(ROOT "/dev/%s", links[i][1])), links[i][1]);
    file_system("devpts", ROOT "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    file_system("tmpfs", ROOT "/dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m");
    file_system("mqueue", ROOT "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    for (int i = 0; i < masks.count; i++) {
        const char *target = text(ROOT "%s", masks.at[i]);
        if (stat(target, &info) < 0) continue;
        if (S_ISDIR(info.st_mode)) file_system("tmpfs", target, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0k");
        else attach(ROOT "/dev/null", target, 0);
    }
    for (int i = 0; i < readonly.count; i++) {
        const char *target = text(ROOT "%s", readonly.at[i]);
        if (stat(target, &info) == 0) attach(target, target, MOUNT_ATTR_RDONLY);
    }
}

static void pivot(void) {
    CHECK(chdir(ROOT), ROOT);
    CHECK(syscall(SYS_pivot_root, ".", "."), ROOT); /* the old root now lies on top of the new one: pivot_root(2), NOTES */
    CHECK(umount2(".", MNT_DETACH), "old root");
    CHECK(chdir("/"), "/");
}

static void loopback_up(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(ioctl(fd, SIOCSIFFLAGS, &request), "lo");
    close(fd);
}

static void drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    unsigned low = (unsigned)caps, high = (unsigned)(caps >> 32);
    struct __user_cap_data_struct data[2] = {{low, low, 0}, {high, high, 0}};
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (!(caps >> cap & 1)) CHECK(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0), "bounding set");
    CHECK(syscall(SYS_capset, &header, data), "capabilities");
}

static void inside(int wire, int out, int err) {
    int trees[MAX];
    char word, room[CMSG_SPACE(sizeof trees)];
    struct iovec io = {&word, 1};
    struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(wire, &message, MSG_CMSG_CLOEXEC) != 1) _exit(125); /* the barrier; end of file means: the launcher is gone */
    struct cmsghdr *sent = CMSG_FIRSTHDR(&message);
    if (sent) memcpy(trees, CMSG_DATA(sent), sizeof(int) * (size_t)layers.count);
    CHECK(unshare(CLONE_NEWCGROUP), "cgroup"); /* only now: our group is joined, so it becomes "/" */
    CHECK(setsid(), "session");
    CHECK(setgroups(0, NULL), "groups");
    CHECK(setresgid(0, 0, 0), "gid");
    CHECK(setresuid(0, 0, 0), "uid");
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "/");
    overlay(trees);
    furnish();
    pivot();
    CHECK(sethostname("box", 3), "hostname");
    loopback_up();
    umask(022);
    CHECK(dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0), "stdin");
    CHECK(dup2(out, 1), "stdout");
    CHECK(dup2(err, 2), "stderr");
    CHECK(syscall(SYS_close_range, 3, ~0U, 1 << 2 /* CLOSE_RANGE_CLOEXEC */), "descriptors");
    drop_capabilities();
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    if (filter.len) CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0), "seccomp");
    execvp(command[0], command);
    die("execve", command[0]);
}

/* --- outside: the launcher ---------------------------------------------------------------------------------------- */

static void make_groups(void) {
    for (int i = 0; i < groups.count; i++) CHECK(mkdir(groups.at[i], 0755), groups.at[i]);
    for (int i = 0; i < limits.count; i++) {
        const char *value = strchr(limits.at[i], '=');
        if (value) put(value + 1, text("%.*s", (int)(value - limits.at[i]), limits.at[i]));
    }
}

static void map_and_join(pid_t pid) {
    char map[32], number[16];
    snprintf(map, sizeof map, "0 %lu 65536", base);
    snprintf(number, sizeof number, "%d", pid);
    put(map, text("/proc/%d/uid_map", pid));
    put(map, text("/proc/%d/gid_map", pid));
    for (int i = 0; i < groups.count; i++) put(number, text("%s/cgroup.procs", groups.at[i]));
}

/* The layers as detached mounts, their owners seen through the child's id map; sent along with the word that opens the barrier. */
static void go(pid_t pid, int wire) {
    int trees[MAX];
    char room[CMSG_SPACE(sizeof trees)] = {0};
    size_t size = sizeof(int) * (size_t)layers.count;
    int user = open(text("/proc/%d/ns/user", pid), O_RDONLY | O_CLOEXEC);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY, .userns_fd = (unsigned)user};
    for (int i = 0; i < layers.count; i++) {
        trees[i] = open_tree(AT_FDCWD, layers.at[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        CHECK(trees[i], layers.at[i]);
        CHECK(mount_setattr(trees[i], "", AT_EMPTY_PATH, &attr, sizeof attr), layers.at[i]);
    }
    close(user);
    struct iovec io = {"g", 1};
    struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = room, .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(size)};
    memcpy(CMSG_DATA(header), trees, size);
    CHECK(sendmsg(wire, &message, 0), "barrier");
    for (int i = 0; i < layers.count; i++) close(trees[i]);
}

static void relay(int out, int err) {
    struct pollfd open_ends[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
    char bytes[65536];
    for (int left = 2; left;) {
        CHECK(poll(open_ends, 2, -1), "output");
        for (int i = 0; i < 2; i++) {
            if (!open_ends[i].revents) continue;
            ssize_t count = read(open_ends[i].fd, bytes, sizeof bytes);
            if (count > 0) CHECK(write(2, bytes, (size_t)count), "output"); /* standard output carries the times */
            else open_ends[i].fd = -1, left--;
        }
    }
}

static int run(void) {
    int wire[2], out[2], err[2], pidfd = -1;
    char lock[64];
    snprintf(lock, sizeof lock, LOCKS "/%lu", base);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire), "wire");
    CHECK(pipe2(out, O_CLOEXEC), "pipe");
    CHECK(pipe2(err, O_CLOEXEC), "pipe");
    mkdir(LOCKS, 0755);
    int locked = open(lock, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    CHECK(flock(locked, LOCK_EX | LOCK_NB), lock);
    make_groups();
    struct clone_args args = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWTIME | CLONE_PIDFD,
        .pidfd = (unsigned long)&pidfd, .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    CHECK(pid, "");
    if (pid == 0) { /* each side closes the other's ends at once: or nobody would ever see the end of file */
        close(wire[0]), close(out[0]), close(err[0]);
        inside(wire[1], out[1], err[1]);
    }
    map_and_join(pid);
    fchown(out[1], (uid_t)base, (gid_t)base), fchown(err[1], (uid_t)base, (gid_t)base); /* so that /dev/stdout can be opened */
    close(wire[1]), close(out[1]), close(err[1]);
    go(pid, wire[0]);
    relay(out[0], err[0]);
    siginfo_t end;
    CHECK(waitid(P_PIDFD, (id_t)pidfd, &end, WEXITED), "payload");
    for (int i = groups.count - 1; i >= 0; i--) CHECK(rmdir(groups.at[i]), groups.at[i]);
    unlink(lock);
    close(wire[0]), close(out[0]), close(err[0]), close(pidfd), close(locked);
    return end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
}

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void load_filter(const char *path) {
    static struct sock_filter program[BPF_MAXINSNS];
    ssize_t size = read(open(path, O_RDONLY | O_CLOEXEC), program, sizeof program);
    CHECK(size, path);
    filter = (struct sock_fprog){(unsigned short)((size_t)size / sizeof *program), program};
}

int main(int argc, char **argv) {
    int serve = 0;
    List *lists[256] = {['l'] = &layers, ['g'] = &groups, ['w'] = &limits, ['m'] = &masks, ['r'] = &readonly};
    for (int option; (option = getopt(argc, argv, "+sb:f:k:l:g:w:m:r:")) != -1;) {
        if (option == 's') serve = 1;
        else if (option == 'b') base = strtoul(optarg, NULL, 0);
        else if (option == 'f') load_filter(optarg);
        else if (option == 'k') caps = strtoull(optarg, NULL, 16);
        else if (option == '?' || lists[option]->count == MAX) return 2;
        else lists[option]->at[lists[option]->count++] = optarg;
    }
    command = argv + optind;
    if (!*command || !layers.count) return fprintf(stderr, "container: a layer and a command are needed\n"), 2;
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    if (!serve) return run();
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (char line[16]; fgets(line, sizeof line, stdin);) {
        long long start = now();
        int status = run();
        printf("%lld %d\n", now() - start, status);
    }
}
