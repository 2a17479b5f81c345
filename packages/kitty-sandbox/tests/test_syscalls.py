"""Each direct system call in a forked child: what it does, and the error it raises where the kernel refuses.

As root the child has what it needs; anybody else's gets a user namespace of its own first.
"""

import ctypes
import errno
import inspect
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from kitty_sandbox.guest import seccomp, syscalls

NEWUSER = 0x10000000
LIBC = ctypes.CDLL(None, use_errno=True)
BIND, PRIVATE, RECURSIVE = 4096, 1 << 18, 16384


def in_child(function, *arguments):
    """What `function` returns in a forked child, through JSON; an OSError as its error number's name."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            try:
                answer = {"value": function(*arguments)}
            except OSError as error:
                answer = {"refused": errno.errorcode[error.errno], "said": str(error)}
            except BaseException:  # noqa: BLE001 - told to the parent, which fails then
                answer = {"broken": traceback.format_exc()}
            os.write(write, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    assert data, "the child said nothing"
    answer = json.loads(data)
    assert "broken" not in answer, answer["broken"]
    return answer.get("value", answer.get("refused"))


def become_able():
    """Root already is; anybody else becomes root of a user namespace."""
    user, group = os.getuid(), os.getgid()
    if user != 0:
        syscalls.unshare(NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def own_mounts():
    become_able()
    syscalls.unshare(syscalls.CLONE_NEWNS)
    assert LIBC.mount(None, b"/", None, ctypes.c_ulong(PRIVATE | RECURSIVE), None) == 0


def become_nobody():
    """Without capabilities, so that the kernel refuses what only root may."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    else:
        syscalls.drop_capabilities()


def status_of(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1]
    return None


def ipc_namespace():
    return os.readlink("/proc/self/ns/ipc")


def test_unshare_makes_namespaces():
    def child():
        become_able()
        before = ipc_namespace()
        syscalls.unshare(syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWNS)
        return before != ipc_namespace()

    assert in_child(child) is True


def test_unshare_of_a_process_tree_counts_for_children_only():
    def child():
        become_able()
        syscalls.unshare(syscalls.CLONE_NEWPID)
        mine = os.getpid() > 1
        pid = os.fork()
        if pid == 0:
            os._exit(os.getpid())
        return [mine, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]

    assert in_child(child) == [True, 1]


def test_unshare_gives_an_empty_network():
    def child():
        become_able()
        syscalls.unshare(syscalls.CLONE_NEWNET)
        return [name for _, name in socket.if_nameindex()]

    assert in_child(child) == ["lo"]


def test_unshare_refuses_what_is_no_namespace_and_who_may_not():
    def unprivileged():
        become_nobody()
        syscalls.unshare(syscalls.CLONE_NEWNS)

    assert in_child(syscalls.unshare, 0x1) == "EINVAL"
    assert in_child(unprivileged) == "EPERM"


def test_set_namespace_goes_back():
    def child():
        become_able()
        pid = os.fork()  # stays in the namespace of before
        if pid == 0:
            syscalls.die_with_parent()
            signal.pause()
        before = ipc_namespace()
        syscalls.unshare(syscalls.CLONE_NEWIPC)
        changed = ipc_namespace() != before
        syscalls.set_namespace(os.pidfd_open(pid), syscalls.CLONE_NEWIPC)
        os.kill(pid, signal.SIGKILL)
        return [changed, ipc_namespace() == before]

    # In a user namespace of one's own the old namespace belongs to others.
    assert in_child(child) == ([True, True] if os.getuid() == 0 else "EPERM")


def test_set_namespace_refuses_a_descriptor_that_is_none():
    assert in_child(syscalls.set_namespace, 999, syscalls.CLONE_NEWIPC) == "EBADF"


def test_one_process_forks_into_many_process_trees():
    """What the fork server does: back to its own tree, then a new one; twice without the way back is refused."""

    def server():
        own, seen = os.pidfd_open(os.getpid()), []
        for _ in range(3):
            syscalls.set_namespace(own, syscalls.CLONE_NEWPID)
            syscalls.unshare(syscalls.CLONE_NEWPID)
            pid = os.fork()
            if pid == 0:
                os._exit(os.getpid())
            seen.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        try:
            syscalls.unshare(syscalls.CLONE_NEWPID)
        except OSError as error:
            seen.append(errno.errorcode[error.errno])
        return seen

    def child():
        become_able()
        syscalls.unshare(syscalls.CLONE_NEWPID)  # a tree that belongs to the own user namespace
        return in_child(server)

    assert in_child(child) == [1, 1, 1, "EINVAL"]


def test_mount_tmpfs_covers_a_folder_with_a_small_one(tmp_path):
    def child():
        own_mounts()
        (tmp_path / "covered").write_text("x")
        syscalls.mount_tmpfs(str(tmp_path), "size=1m,nr_inodes=10,mode=0700")
        facts = os.statvfs(tmp_path)
        flags = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
        seen = [os.listdir(tmp_path), facts.f_blocks * facts.f_frsize, facts.f_files, facts.f_flag & flags == flags]
        try:
            (tmp_path / "large").write_bytes(bytes(2 * 2**20))
        except OSError as error:
            seen.append(errno.errorcode[error.errno])
        return seen

    assert in_child(child) == [[], 2**20, 10, True, "ENOSPC"]
    assert os.listdir(tmp_path) == ["covered"]


def test_mount_tmpfs_refuses_a_place_that_is_not_there_wrong_options_and_who_may_not(tmp_path):
    def mount(path, options, *, able=True):
        if able:
            own_mounts()
        else:
            become_nobody()
        syscalls.mount_tmpfs(path, options)

    assert in_child(mount, str(tmp_path / "nowhere"), "") == "ENOENT"
    assert in_child(mount, str(tmp_path), "size=much") == "EINVAL"
    assert in_child(lambda: mount("/", "", able=False)) == "EPERM"


def test_remount_read_only_stops_writing(tmp_path):
    def child():
        own_mounts()
        syscalls.mount_tmpfs(str(tmp_path), "")
        (tmp_path / "before").write_text("x")
        syscalls.remount_read_only(str(tmp_path))
        seen = [(tmp_path / "before").read_text()]
        for attempt in (lambda: (tmp_path / "after").write_text("x"), lambda: (tmp_path / "before").chmod(0o777)):
            try:
                attempt()
            except OSError as error:
                seen.append(errno.errorcode[error.errno])
        return seen

    assert in_child(child) == ["x", "EROFS", "EROFS"]


def test_remount_read_only_refuses_a_folder_that_is_no_mount(tmp_path):
    def child():
        own_mounts()
        syscalls.remount_read_only(str(tmp_path))

    assert in_child(child) == "EINVAL"


def test_bind_read_only_leaves_a_device_usable_and_its_mode_alone(tmp_path):
    def child():
        own_mounts()
        place = tmp_path / "null"
        place.write_text("")
        assert LIBC.mount(b"/dev/null", os.fsencode(place), None, ctypes.c_ulong(BIND), None) == 0
        syscalls.bind_read_only(str(place))
        place.write_text("taken")
        seen = [place.read_text()]
        for attempt in (lambda: place.chmod(0o600), lambda: os.utime(place)):
            try:
                attempt()
            except OSError as error:
                seen.append(errno.errorcode[error.errno])
        return seen

    assert in_child(child) == ["", "EROFS", "EROFS"]


def test_bind_read_only_refuses_a_file_that_is_no_mount(tmp_path):
    def child():
        own_mounts()
        (tmp_path / "file").write_text("")
        syscalls.bind_read_only(str(tmp_path / "file"))

    assert in_child(child) == "EINVAL"


def test_unmount_uncovers_what_was_there(tmp_path):
    def child():
        own_mounts()
        (tmp_path / "covered").write_text("x")
        syscalls.mount_tmpfs(str(tmp_path), "")
        covered = os.listdir(tmp_path)
        syscalls.unmount(str(tmp_path))
        return [covered, os.listdir(tmp_path)]

    assert in_child(child) == [[], ["covered"]]


def test_unmount_refuses_what_is_no_mount_and_what_is_in_use(tmp_path):
    def no_mount():
        own_mounts()
        syscalls.unmount(str(tmp_path))

    def in_use():
        own_mounts()
        syscalls.mount_tmpfs(str(tmp_path), "")
        os.chdir(tmp_path)
        syscalls.unmount(str(tmp_path))

    assert in_child(no_mount) == "EINVAL"
    assert in_child(in_use) == "EBUSY"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_die_with_parent_sends_its_signal_when_the_parent_ends(number):
    def child():
        ready, told = os.pipe()
        witness, end = os.pipe()
        pid = os.fork()
        if pid == 0:
            grandchild = os.fork()
            if grandchild == 0:
                if number == signal.SIGTERM:
                    signal.signal(signal.SIGTERM, lambda *_: (os.write(end, b"told"), os._exit(0)))
                syscalls.die_with_parent(number)
                os.write(told, b"x")
                signal.pause()
                os._exit(1)
            os.read(ready, 1)
            os._exit(0)
        os.close(end)
        os.waitpid(pid, 0)
        return os.read(witness, 10).decode()  # until the last that holds the other end is gone

    assert in_child(child) == ("told" if number == signal.SIGTERM else "")


def test_die_with_parent_refuses_a_number_that_is_no_signal():
    assert in_child(syscalls.die_with_parent, 9999) == "EINVAL"


def test_leave_no_core_makes_a_process_undumpable():
    def child():
        before = LIBC.prctl(3, 0, 0, 0, 0)
        syscalls.leave_no_core()
        return [before, LIBC.prctl(3, 0, 0, 0, 0)]

    assert in_child(child) == [1, 0]


def test_leave_no_core_and_die_with_parent_cannot_be_called_behind_the_filter():
    def child(function):
        syscalls.set_no_new_privileges()
        syscalls.install_filter(seccomp.assemble("pure"))
        function()

    assert in_child(child, syscalls.leave_no_core) == "EPERM"
    assert in_child(child, syscalls.die_with_parent) == "EPERM"


def test_trim_memory_gives_freed_memory_back():
    def child():
        kept = [bytes(1000) for _ in range(100_000)]
        full = int(status_of("VmRSS"))
        last = kept.pop()
        kept.clear()
        syscalls.trim_memory()
        return [len(last), full - int(status_of("VmRSS")) > 20_000]

    assert in_child(child) == [1000, True]


def test_drop_bounding_set_keeps_what_the_process_has_itself():
    def child():
        become_able()
        syscalls.drop_bounding_set()
        return [int(status_of("CapBnd"), 16), int(status_of("CapEff"), 16) != 0]

    assert in_child(child) == [0, True]


def test_drop_capabilities_leaves_none():
    def child():
        become_able()
        before = int(status_of("CapEff"), 16) != 0
        syscalls.drop_bounding_set()
        syscalls.drop_capabilities()
        seen = [before, *(int(status_of(f"Cap{kind}"), 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"))]
        try:
            os.chroot("/")
        except OSError as error:
            seen.append(errno.errorcode[error.errno])
        syscalls.drop_capabilities()  # what is already empty is fine
        return seen

    assert in_child(child) == [True, 0, 0, 0, 0, 0, "EPERM"]


def test_set_no_new_privileges_is_for_good():
    def child():
        before = status_of("NoNewPrivs")
        syscalls.set_no_new_privileges()
        return [before, status_of("NoNewPrivs"), LIBC.prctl(38, 0, 0, 0, 0)]

    before, after, undone = in_child(child)
    assert (after, undone) == ("1", -1)
    assert before in {"0", "1"}


needs_landlock = pytest.mark.skipif(syscalls.landlock_abi() == 0, reason="this kernel has no Landlock")


def restricted(folder, function, *, execute=False, listable=(), scoped=True):
    """`function` after Landlock left `folder`/readable to read and `folder`/writable to write."""
    syscalls.set_no_new_privileges()
    readable = [str(folder / "readable"), "/dev/zero", *(["/usr", "/lib", "/lib64", "/bin"] if execute else [])]
    readable = [path for path in readable if os.path.exists(path)]
    writable = str(folder / "writable")
    syscalls.restrict_files(readable, writable, execute=execute, listable=listable, scoped=scoped)
    return function()


@pytest.fixture
def folders(tmp_path):
    for name in ("readable", "writable", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    for folder in (tmp_path, *tmp_path.iterdir()):
        folder.chmod(0o777)
    return tmp_path


def attempts(*functions):
    """What each of them gives or raises."""
    seen = []
    for function in functions:
        try:
            seen.append(function())
        except OSError as error:
            seen.append(errno.errorcode[error.errno])
    return seen


def test_landlock_abi_is_a_number_and_zero_where_the_kernel_has_none():
    def child():
        syscalls.set_no_new_privileges()
        syscalls.install_filter(seccomp.assemble("pure"))  # answers ENOSYS, as an old kernel
        return syscalls.landlock_abi()

    assert 0 <= syscalls.landlock_abi() < 100
    assert in_child(child) == 0


@needs_landlock
def test_restrict_files_leaves_what_it_names(folders):
    def look():
        return attempts(
            lambda: (folders / "readable" / "file").read_text(),
            lambda: os.listdir(folders / "readable"),
            lambda: (folders / "readable" / "file").write_text("x"),
            lambda: (folders / "readable" / "new").mkdir(),
            lambda: (folders / "writable" / "file").read_text(),
            lambda: (folders / "writable" / "new").write_text("x"),
            lambda: (folders / "hidden" / "file").read_text(),
            lambda: os.listdir(folders / "hidden"),
            lambda: (folders / "hidden" / "file").rename(folders / "writable" / "moved"),
            lambda: (folders / "hidden" / "file").exists(),
            lambda: Path("/dev/null").write_text("x"),
            lambda: Path("/dev/zero").write_text("x"),
        )

    assert in_child(restricted, folders, look) == [
        *("readable", ["file"], "EACCES", "EACCES"),
        *("writable", 1),
        *("EACCES", "EACCES", "EACCES"),
        True,  # asking about a file is not restricted
        *(1, "EACCES"),
    ]


@needs_landlock
def test_restrict_files_lists_without_reading_where_that_is_asked(folders):
    def look():
        return attempts(lambda: os.listdir(folders / "hidden"), lambda: (folders / "hidden" / "file").read_text())

    listable = [str(folders / "hidden")]
    assert in_child(lambda: restricted(folders, look, listable=listable)) == [["file"], "EACCES"]


@needs_landlock
@pytest.mark.parametrize("execute", [False, True])
def test_restrict_files_starts_programs_only_where_that_is_asked(folders, execute):
    def look():
        pid = os.fork()
        if pid == 0:
            try:
                os.execv("/bin/true", ["true"])
            finally:
                os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert in_child(lambda: restricted(folders, look, execute=execute)) == (0 if execute else 99)


@needs_landlock
def test_restrict_files_stops_tcp(folders):
    if syscalls.landlock_abi() < 4:
        pytest.skip("Landlock looks at TCP from ABI 4 on")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def look():
            return attempts(
                lambda: socket.create_connection(address, 1), lambda: socket.create_server(("127.0.0.1", 0))
            )

        assert in_child(restricted, folders, look) == ["EACCES", "EACCES"]


@needs_landlock
@pytest.mark.parametrize("scoped", [True, False])
def test_restrict_files_stops_signals_and_abstract_sockets_where_that_is_asked(folders, scoped):
    if syscalls.landlock_abi() < 6:
        pytest.skip("Landlock has scopes from ABI 6 on")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0kitty-test-{os.getpid()}")
        server.listen()
        address, parent = server.getsockname(), os.getpid()

        def look():
            link = socket.socket(socket.AF_UNIX)
            return attempts(lambda: os.kill(parent, 0), lambda: link.connect(address), lambda: os.kill(os.getpid(), 0))

        seen = in_child(lambda: restricted(folders, look, scoped=scoped))
    assert seen == (["EPERM", "EPERM", None] if scoped else [None, None, None])


@needs_landlock
def test_restrict_files_refuses_a_path_that_is_not_there_and_who_could_still_gain_privileges(folders):
    (folders / "writable" / "file").unlink()
    (folders / "writable").rmdir()
    assert in_child(restricted, folders, list) == "ENOENT"

    def unprivileged():
        become_nobody()
        syscalls.restrict_files(["/usr"], "/tmp", execute=False)

    assert in_child(unprivileged) == "EPERM"


def test_restrict_files_says_that_landlock_is_missing(folders):
    def child():
        syscalls.set_no_new_privileges()
        syscalls.install_filter(seccomp.assemble("pure"))
        return restricted(folders, list)

    assert in_child(child) == "ENOSYS"


needs_filter = pytest.mark.skipif(not seccomp.has_filter(), reason="no filter is known for this processor")


def filtered(profile, function, host_files="hidden"):
    syscalls.set_no_new_privileges()
    syscalls.install_filter(seccomp.assemble(profile, host_files=host_files))
    return function()


def call(number, *arguments):
    """The error of a call that the C library does not wrap, or None."""
    result = LIBC.syscall(number, *arguments)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else None


@needs_filter
def test_install_filter_is_in_force():
    numbers = {"x86_64": (57, 165, 444, 435), "aarch64": (221, 40, 444, 435)}[platform.machine()]

    def look():
        return [
            *(call(number, 0, 0, 0, 0, 0) for number in numbers),
            *attempts(socket.socket, lambda: [end.close() for end in socket.socketpair()]),
            *attempts(lambda: resource.prlimit(0, resource.RLIMIT_NOFILE) is not None),
            *attempts(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)),
        ]

    expected = ["EPERM", "EPERM", "ENOSYS", "ENOSYS", "EPERM", [None, None], True, "EPERM"]
    assert in_child(filtered, "pure", look) == expected


@needs_filter
def test_the_profile_proc_lets_a_program_start_and_pure_does_not():
    def look():
        argv = [sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"]
        return attempts(lambda: subprocess.run(argv, check=False).returncode)

    assert in_child(filtered, "proc", look) == [7]
    assert in_child(filtered, "pure", look) == ["EPERM"]


@needs_filter
def test_what_the_filter_ignores_seems_to_work_and_does_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0o600)
    os.utime(path, (1, 1))

    def look():
        path.chmod(0o666)
        os.utime(path)
        return [oct(path.stat().st_mode & 0o777), path.stat().st_mtime]

    assert in_child(filtered, "pure", look, "own") == ["0o600", 1.0]
    assert in_child(filtered, "pure", look, "visible")[1] == 1.0


@needs_filter
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has another face")
def test_the_other_face_of_the_processor_kills():
    pid = os.fork()
    if pid == 0:
        try:
            filtered("pure", lambda: LIBC.syscall(0x40000000 | 39))
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGSYS


@needs_filter
def test_install_filter_refuses_a_program_that_is_none_and_who_could_still_gain_privileges():
    def broken(lines):
        syscalls.set_no_new_privileges()
        syscalls.install_filter(lines)

    def unprivileged():
        become_nobody()
        syscalls.install_filter(seccomp.assemble("pure"))

    assert in_child(broken, [(0x15, 9, 9, 0), (0x06, 0, 0, 0)]) == "EINVAL"
    assert in_child(broken, []) == "EINVAL"
    assert in_child(unprivileged) == "EACCES"


def test_every_function_of_the_module_is_tried_here():
    public = {name for name, item in inspect.getmembers(syscalls, inspect.isfunction) if not name.startswith("_")}
    text = Path(__file__).read_text()
    assert {name for name in public if f"syscalls.{name}" not in text} == set()
    assert {name for name in public if f"def test_{name}" not in text} == set()
