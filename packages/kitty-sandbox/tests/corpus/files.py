"""What lies on the host, and what must not change inside: secrets, devices, the tests, what is shared with the host.

`os.__file__` stands for the latter: a file of the host that is there inside as well.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import stat
import time
from pathlib import Path

from corpus import attack, bait

HOST_PATHS = ("/home", "/var", "/run", "/opt", "/srv", "/boot", "/etc/passwd", "/bin/sh")


def _holds_the_secret(path):
    return bait("secret") in Path(path).read_bytes().decode("utf-8", "replace")


@attack()
def planted_file():
    return _holds_the_secret(bait("file"))


@attack()
def home():
    return _holds_the_secret(bait("home_file"))


@attack()
def passwd():
    return "root" in Path("/etc/passwd").read_text()


@attack("as root")
def shadow():
    return Path("/etc/shadow").read_text()


@attack()
def host_names():
    return Path("/etc/hosts").read_text() or "empty"


@attack()
def our_own_source():
    """The agent's packages and settings lie beside it."""
    return Path(bait("source")).read_text()


@attack(open_in=("landlock",))
def listing_the_host():
    return [path for path in HOST_PATHS if os.path.exists(path)]


@attack()
def environment():
    return bait("secret") in str(os.environ)


@attack()
def environment_of_the_parent():
    for pid in ("self", "1", os.getppid(), bait("pid")):
        with contextlib.suppress(OSError):
            if _holds_the_secret(f"/proc/{pid}/environ"):
                return pid
    return None


@attack()
def command_lines():
    return Path("/proc/1/cmdline").read_bytes() or "empty"


@attack()
def process_list():
    return [name for name in os.listdir("/proc") if name.isdigit()]


@attack()
def memory_through_proc():
    word = b"something of ours in memory"
    with open("/proc/self/mem", "rb", 0) as memory:
        memory.seek(id(word))
        return word in memory.read(200)


@attack(open_in=("landlock any",))
def descriptor_reopened():
    """A descriptor that was handed over, opened anew with other rights; without namespaces it is its own output."""
    with open("/proc/self/fd/1", "wb"):
        return "reopened"


@attack()
def inherited_descriptors():
    for fd in range(3, 1024):
        with contextlib.suppress(OSError):
            if bait("secret").encode() in os.pread(fd, 200, 0):
                return fd
    return None


@attack()
def sysfs():
    return os.listdir("/sys/kernel")


@attack("depends")
def kvm():
    os.close(os.open("/dev/kvm", os.O_RDWR))
    return "opened"


@attack("depends")
def block_devices():
    for name in os.listdir("/dev"):
        with contextlib.suppress(OSError):
            if stat.S_ISBLK(os.stat(f"/dev/{name}").st_mode):
                with open(f"/dev/{name}", "rb", 0):
                    return name
    return None


@attack("depends")
def shared_memory_of_the_host():
    """Inside, /dev/shm may be a folder of the run's own."""
    return _holds_the_secret(f"/dev/shm/{bait('unix_abstract')}")


@attack("depends")
def device_made():
    path = f"{bait('folder')}/disk"
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 0))
    os.unlink(path)
    return "a block device"


@attack()
def symlink_out():
    link = f"{bait('folder')}/symlink"
    os.symlink(bait("file"), link)
    try:
        return _holds_the_secret(link)
    finally:
        os.unlink(link)


@attack()
def hardlink_out():
    link = f"{bait('folder')}/link"
    os.link(bait("file"), link)
    try:
        return _holds_the_secret(link)
    finally:
        os.unlink(link)


@attack()
def dot_dot_out():
    os.chdir(bait("folder"))
    return _holds_the_secret("../" * 20 + bait("file").lstrip("/"))


@attack("as root")
def chroot_escape():
    """The classic: a root below the current folder, and up from there."""
    os.chdir(bait("folder"))
    folder = f"{bait('folder')}/root"
    os.mkdir(folder)
    try:
        os.chroot(folder)
        for _ in range(20):
            os.chdir("..")
        os.chroot(".")
        return _holds_the_secret(bait("file"))
    finally:
        os.rmdir(folder)


@attack("as root")
def file_by_handle():
    """`open_by_handle_at` reaches any inode of a mounted file system (Shocker)."""
    libc = ctypes.CDLL(None, use_errno=True)
    path = bait("file") if os.path.exists(bait("file")) else os.__file__
    handle = ctypes.create_string_buffer(136)
    ctypes.cast(handle, ctypes.POINTER(ctypes.c_uint32))[0] = 128
    mount = ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), handle, ctypes.byref(mount), 0) != 0:
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    return libc.open_by_handle_at(folder, handle, os.O_RDONLY) >= 0


def _write_new(path):
    with open(path, "x"):
        os.unlink(path)
    return path


@attack("as root")
def write_to_usr():
    return _write_new(f"/usr/lib/{bait('unix_abstract')}")


@attack("as root")
def write_to_the_standard_library():
    return _write_new(os.path.join(os.path.dirname(os.__file__), f"{bait('unix_abstract')}.py"))


@attack("as root")
def write_to_the_root():
    return _write_new(f"/{bait('unix_abstract')}")


@attack("as root")
def write_to_dev():
    return _write_new(f"/dev/{bait('unix_abstract')}")


@attack()
def write_to_pytest():
    """Inside: the packages and our own guest program."""
    return [_write_new(f"{folder}/{bait('unix_abstract')}.py") for folder in bait("program")]


@attack()
def write_the_tests():
    with open(bait("tests"), "a") as file:
        return file.write("\n")


@attack()
def make_the_tests_writable():
    os.chmod(bait("tests"), 0o777)
    return os.stat(bait("tests")).st_mode & 0o777 == 0o777


@attack()
def rename_the_tests():
    os.rename(bait("tests"), bait("tests") + "x")
    os.rename(bait("tests") + "x", bait("tests"))
    return "renamed"


@attack()
def replace_the_tests():
    """Not written but another file put in their place."""
    path = f"{bait('folder')}/other"
    Path(path).write_text("")
    try:
        os.rename(path, bait("tests"))
        return "replaced"
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@attack()
def plant_a_conftest():
    return _write_new(f"{os.path.dirname(bait('tests'))}/conftest.py")


@attack()
def swap_the_work_folder():
    """Between check and use: the whole folder becomes another one."""
    folder = os.path.dirname(bait("tests"))
    os.rename(folder, folder + "-away")
    os.rename(folder + "-away", folder)
    return "swapped"


@attack("depends")
def mount_over_the_tests():
    libc = ctypes.CDLL(None, use_errno=True)
    folder = os.path.dirname(bait("tests")).encode()
    if libc.mount(b"tmpfs", folder, b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    hidden = not os.path.exists(bait("tests"))
    libc.umount2(folder, 0)
    return hidden


@attack()
def hide_the_tests_behind_a_link():
    os.symlink("/", f"{os.path.dirname(bait('tests'))}/corpus-of-ours")
    os.unlink(f"{os.path.dirname(bait('tests'))}/corpus-of-ours")
    return "linked"


@attack(open_in=("ns-only",))
def write_to_a_shared_device():
    """Harmless in itself: it stands for whatever is writable for everybody among what is shared with the host."""
    with open("/dev/zero", "wb") as file:
        return file.write(b"x")


@attack("as root")
def touch_a_shared_device():
    """Its times are the host's too: a message from one run to the next."""
    before = os.stat("/dev/null").st_mtime_ns
    os.utime("/dev/null", ns=(1, before + 1))
    changed = os.stat("/dev/null").st_mtime_ns != before
    os.utime("/dev/null")
    return changed


def _is_changed_by(change):
    """Whether the kernel notes the time of a change, also of one to what it is."""
    before = os.stat("/dev/null").st_ctime_ns
    time.sleep(0.02)  # more than a tick of the clock that is noted
    change()
    return os.stat("/dev/null").st_ctime_ns != before


@attack("as root")
def change_the_mode_of_a_shared_device():
    return _is_changed_by(lambda: os.chmod("/dev/null", 0o666))


@attack("as root")
def own_a_shared_device():
    found = os.stat("/dev/null")
    return _is_changed_by(lambda: os.chown("/dev/null", found.st_uid, found.st_gid))


@attack("as root")
def attribute_on_a_shared_file():
    os.setxattr(os.__file__, "trusted.kitty", b"1")
    os.removexattr(os.__file__, "trusted.kitty")
    return "set"


@attack()
def lock_on_a_shared_file():
    with open(os.__file__) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return "locked"


@attack()
def record_lock_on_a_shared_device():
    with open("/dev/null", "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return is_locked_for_others("/dev/null")


def is_locked_for_others(path):
    """Asked as another owner would: to its own process a record lock is never in the way, but to an open file it is."""
    with open(path, "rb") as other:
        asked = fcntl.fcntl(other, fcntl.F_OFD_GETLK, b"\1\0\0\0\0\0\0\0" + b"\0" * 24)
        return asked[0] != fcntl.F_UNLCK


@attack()
def open_file_lock_on_a_shared_file():
    with open(os.__file__) as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, b"\0" * 32)
        return is_locked_for_others(os.__file__)


@attack("as root")
def lease_on_a_shared_file():
    """Whoever opens the file for writing on the host waits until the lease is given back."""
    with open(os.__file__) as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        return "leased"


@attack()
def spy_with_inotify():
    """A watch sees what the host opens in a folder that is shared."""
    libc = ctypes.CDLL(None, use_errno=True)
    watcher = libc.inotify_init1(0)
    if watcher < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    try:
        return libc.inotify_add_watch(watcher, os.path.dirname(os.__file__).encode(), 0xFFF) >= 0
    finally:
        os.close(watcher)


@attack()
def spy_with_dnotify():
    """The older way to watch a folder, through fcntl: a signal for each access."""
    seen = []
    old = signal.signal(signal.SIGIO, lambda number, frame: seen.append(number))
    folder = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
    try:
        fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_MULTISHOT)
        deadline = time.monotonic() + 2
        while not seen and time.monotonic() < deadline:
            with open(os.__file__, "rb", 0) as file:  # in another process it would do as well
                file.read(1)
            time.sleep(0.01)
        return f"{len(seen)} signals"
    finally:
        os.close(folder)
        signal.signal(signal.SIGIO, old)
