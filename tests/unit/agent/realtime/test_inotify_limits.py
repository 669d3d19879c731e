from agent.realtime.inotify_limits import InotifyUsage, inotify_issues

ENOUGH = InotifyUsage(watches=100, refused=0, allowed=8192, queued=16_384)


def codes(usage: InotifyUsage) -> list[str]:
    return [issue.code for issue in inotify_issues(usage)]


def test_limits_that_are_enough_are_no_issue() -> None:
    assert codes(ENOUGH) == []
    assert codes(InotifyUsage(10**6, 0, None, None)) == []


def test_a_limit_that_is_nearly_reached_is_one_with_the_setting_and_a_value_that_will_do() -> None:
    (issue,) = inotify_issues(InotifyUsage(watches=7000, refused=0, allowed=8192, queued=16_384))
    assert issue.code == "watch_limit"
    assert "7000 of the 8192" in issue.message
    assert "fs.inotify.max_user_watches to 22192 or more" in issue.message


def test_folders_that_are_not_watched_count_whatever_the_limit_says() -> None:
    """Other programs of the same user take from the same limit."""
    (issue,) = inotify_issues(InotifyUsage(watches=100, refused=3, allowed=8192, queued=16_384))
    assert issue.code == "watch_limit"
    assert issue.message.startswith("3 folders are not watched")


def test_a_queue_shorter_than_the_systems_own_default_is_an_issue() -> None:
    (issue,) = inotify_issues(InotifyUsage(watches=100, refused=0, allowed=8192, queued=1024))
    assert issue.code == "event_queue_short"
    assert "fs.inotify.max_queued_events" in issue.message
