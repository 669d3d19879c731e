from agent.platform.file_systems import Coverage, SkippedFolder, SkipReason, coverage_of, local_coverage, skipped_own
from agent.platform.mountinfo import Mount


def mount(point: str, file_system: str, device: str = "8:1", root: str = "/") -> Mount:
    return Mount(1, device, point, file_system, root)


ROOT = mount("/", "ext4")


def skipped(coverage: Coverage) -> dict[str, SkipReason]:
    return {folder.path: folder.reason for folder in coverage.skipped}


def test_local_disks_are_walked_and_the_kernels_interfaces_are_not() -> None:
    coverage = coverage_of(
        [ROOT, mount("/proc", "proc", "0:4"), mount("/home", "xfs", "8:2"), mount("/tmp", "tmpfs", "0:9")],
        network=False,
    )
    assert coverage.roots == ("/",)
    assert coverage.skipped == (SkippedFolder("/proc", "proc", SkipReason.PSEUDO),)


def test_other_machines_are_left_out_unless_they_are_asked_for() -> None:
    far = [
        ROOT,
        mount("/mnt/nfs", "nfs4", "0:31"),
        mount("/mnt/smb", "cifs", "0:32"),
        mount("/mnt/ssh", "fuse.sshfs", "0:33"),
        mount("/mnt/usb", "fuseblk", "8:17"),
    ]
    assert set(skipped(coverage_of(far, network=False))) == {"/mnt/nfs", "/mnt/smb", "/mnt/ssh"}
    assert coverage_of(far, network=True).skipped == ()


def test_what_is_mounted_twice_is_walked_once() -> None:
    coverage = coverage_of(
        [ROOT, mount("/srv/again", "ext4", root="/home"), mount("/data", "btrfs", "0:40", "/@data")], network=False
    )
    assert skipped(coverage) == {"/srv/again": SkipReason.DUPLICATE}


def test_a_subvolume_beside_another_is_no_duplicate() -> None:
    coverage = coverage_of(
        [mount("/", "btrfs", "0:40", "/@"), mount("/home", "btrfs", "0:40", "/@home")], network=False
    )
    assert coverage.skipped == ()


def test_a_disk_below_something_that_is_left_out_is_walked_from_there() -> None:
    coverage = coverage_of(
        [
            ROOT,
            mount("/dev", "devtmpfs", "0:5"),
            mount("/dev/shm", "tmpfs", "0:20"),
            mount("/dev/pts", "devpts", "0:21"),
        ],
        network=False,
    )
    assert coverage.roots == ("/", "/dev/shm")
    assert skipped(coverage) == {"/dev": SkipReason.PSEUDO}


def test_interfaces_below_what_is_walked_from_there_are_left_out_too() -> None:
    coverage = coverage_of(
        [
            ROOT,
            mount("/sys", "sysfs", "0:6"),
            mount("/sys/fs/cgroup", "tmpfs", "0:22"),
            mount("/sys/fs/cgroup/cpu", "cgroup", "0:23"),
        ],
        network=False,
    )
    assert coverage.roots == ("/", "/sys/fs/cgroup")
    assert set(skipped(coverage)) == {"/sys", "/sys/fs/cgroup/cpu"}


def test_the_last_of_several_mounts_on_one_point_counts() -> None:
    coverage = coverage_of([ROOT, mount("/mnt", "ext4", "8:3"), mount("/mnt", "nfs4", "0:50")], network=False)
    assert skipped(coverage) == {"/mnt": SkipReason.NETWORK}


def test_this_machine_has_a_root_and_interfaces_that_are_left_out() -> None:
    coverage = local_coverage(network=False)
    assert "/" in coverage.roots
    assert skipped(coverage).get("/proc") is SkipReason.PSEUDO


def test_folders_of_our_own_are_named_if_they_are_there(tmp_path: object) -> None:
    assert skipped_own((str(tmp_path), "/does/not/exist")) == (SkippedFolder(str(tmp_path), "", SkipReason.OWN),)
