"""Where macOS looks for what to start by itself: launchd(8) and the shells."""

#: Patterns from the top of the file system.
SYSTEM_PATTERNS = (
    "Library/LaunchAgents/*.plist", "Library/LaunchDaemons/*.plist", "Library/StartupItems/*/*",
    "etc/crontab", "etc/periodic/*/*", "usr/lib/cron/tabs/*", "etc/profile", "etc/bashrc", "etc/zshrc", "etc/zprofile",
)  # fmt: skip
#: Patterns from each home folder.
HOME_PATTERNS = (
    "Library/LaunchAgents/*.plist", ".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", ".zprofile", ".zlogin",
)  # fmt: skip
