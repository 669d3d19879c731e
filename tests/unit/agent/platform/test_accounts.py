from agent.platform.accounts import account_name, account_names, local_accounts


def test_accounts_are_known_by_number_and_by_their_first_name() -> None:
    lines = [
        "root:x:0:0:root:/root:/bin/sh",
        "toor:x:0:0::/:/bin/sh",
        "bob:x:1000:1000",
        "broken",
        "+nis:::",
        "a:x:-1:0",
    ]
    assert account_names(lines) == {0: "root", 1000: "bob"}


def test_an_account_without_a_name_here_is_its_number() -> None:
    unknown = next(number for number in range(4_000_000_000, 4_000_000_100) if number not in local_accounts())
    assert account_name(unknown) == str(unknown)
