"""Where Linux looks for what to start by itself: service units, timed jobs, shells, desktops, the loader.

Folders as in systemd.unit(5), cron(8), crontab(5), bash(1), zsh(1), the XDG autostart specification and ld.so(8).
"""

#: Patterns from the top of the file system.
SYSTEM_PATTERNS = (
    "etc/systemd/system/**/*.service", "etc/systemd/system/**/*.conf", "etc/systemd/user/**/*.service",
    "run/systemd/system/**/*.service", "usr/lib/systemd/system/*.service", "usr/lib/systemd/user/*.service",
    "usr/local/lib/systemd/system/*.service",
    "etc/crontab", "etc/anacrontab", "etc/cron.d/*", "etc/cron.hourly/*", "etc/cron.daily/*", "etc/cron.weekly/*",
    "etc/cron.monthly/*", "var/spool/cron/*", "var/spool/cron/crontabs/*", "var/spool/at/*", "var/spool/cron/atjobs/*",
    "etc/rc.local", "etc/rc.d/rc.local", "etc/init.d/*", "etc/inittab",
    "etc/profile", "etc/profile.d/*", "etc/bash.bashrc", "etc/bashrc", "etc/zsh/*", "etc/zshrc", "etc/zprofile",
    "etc/xdg/autostart/*.desktop", "etc/X11/Xsession.d/*", "etc/X11/xinit/xinitrc.d/*",
    "etc/ld.so.preload", "etc/modules-load.d/*.conf", "etc/udev/rules.d/*.rules", "etc/update-motd.d/*",
)  # fmt: skip
#: Patterns from each home folder.
HOME_PATTERNS = (
    ".config/systemd/user/**/*.service", ".local/share/systemd/user/**/*.service",
    ".config/autostart/*.desktop", ".config/autostart-scripts/*", ".config/plasma-workspace/env/*",
    ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile",
    ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".login",
    ".config/fish/config.fish", ".config/fish/conf.d/*.fish",
    ".xinitrc", ".xprofile", ".xsession", ".xsessionrc", ".ssh/rc", ".ssh/authorized_keys",
)  # fmt: skip
