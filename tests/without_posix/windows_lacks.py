"""Modules, and names of modules, that Python has on Linux and macOS and not on Windows."""

MODULES = ("fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
NAMES = {
    "os": """
        O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC O_TMPFILE WEXITSTATUS
        WIFEXITED WIFSIGNALED WNOHANG WTERMSIG chown chroot confstr ctermid fchdir fchown fdatasync
        fork forkpty fstatvfs getegid geteuid getgid getgrouplist getgroups getloadavg getpgid
        getpgrp getpriority getresgid getresuid getsid getuid initgroups killpg lchown lockf mkfifo
        mknod nice openpty pathconf posix_fadvise posix_fallocate posix_spawn posix_spawnp pread
        preadv pwrite pwritev readv register_at_fork sched_getaffinity sched_setaffinity sched_yield
        sendfile setegid seteuid setgid setgroups setpgid setpgrp setpriority setregid setresgid
        setresuid setreuid setsid setuid statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname uname wait
        wait3 wait4 waitid writev
    """,
    "signal": """
        ITIMER_REAL SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT
        SIGSTOP SIGSYS SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH
        SIGXCPU SIGXFSZ alarm pause pthread_kill pthread_sigmask setitimer sigpending sigwait
        sigwaitinfo sigtimedwait
    """,
    "socket": "AF_UNIX SO_REUSEPORT",
    "select": "epoll poll",
    "time": "tzset clock_settime pthread_getcpuclockid",
}
