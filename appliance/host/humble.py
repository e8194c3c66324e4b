"""A script that becomes another program, humbler than any other: run as ``python -I -S humble.py PARENT BYTES ARGV…``.

Priorities set from outside come too late for threads that a program has started by then; so this module sets them and
then executes the program in its own place. It has the lowest priority (nice 19), the idle class of the disk
(ioprio_set(2)), is the first to be killed where memory is short (proc(5), oom_score_adj), ends with the process
``PARENT`` that started it (prctl(2), PR_SET_PDEATHSIG), and may map ``BYTES`` of memory (0: any).
"""

import ctypes
import os
import platform
import resource
import signal
import sys

NICE = 19
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314}
_PROCESS, _IDLE = 1, 3 << 13
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns where the program can be run."""
    parent, memory, *command = sys.argv[1:]
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit(1)  # it ended before we could ask to be told
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    if (number := _IOPRIO_SET.get(platform.machine())) is not None:
        libc.syscall(number, _PROCESS, 0, _IDLE)
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass
    if int(memory):
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what it executes would too
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
