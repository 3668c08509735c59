from blixard.did_you_mean import close_names, did_you_mean


def test_names_that_look_alike_are_offered_the_closest_first() -> None:
    close = close_names("web-1", ["db", "web-12", "wob-1"])

    assert did_you_mean(close, otherwise="look") == "did you mean `web-12` or `wob-1`?"


def test_no_more_are_offered_than_asked_for() -> None:
    assert close_names("web-1", ["web-2", "web-3", "web-4", "web-5"], most=2) == ["web-5", "web-4"]


def test_where_nothing_is_close_there_is_another_hint() -> None:
    assert did_you_mean(close_names("web-1", ["db"]), otherwise="look there") == "look there"
