from __future__ import annotations

from replication.reporting.tables.conditions import conditions_of, dataset_label, made_by


def records(file_of, **changes) -> dict:
    return {name: made_by(file_of(name, **changes.get(name, {}))) for name in ("full", "no_mrem", "full_ffhq")}


def test_one_value_where_all_agree_and_exceptions_by_name(file_of):
    items = dict(conditions_of(records(file_of, no_mrem={"steps": 1234})).items)
    assert items["Image size"] == "64 × 64"
    assert items["Training images"] == "2,000"
    assert items["Training steps"] == "800; 1,234 for no_mrem"
    assert items["Seed"] == "1"


def test_data_sets_are_named_with_the_role_they_play(file_of):
    value = dict(conditions_of(records(file_of)).items)["Data set"]
    assert value == (
        "drawn faces, studio (in the role of CelebA-HQ); drawn faces, studio (in the role of FFHQ) for full_ffhq"
    )
    paper = {"comparable": True, "profile": "paper", "dataset_title": "CelebA-HQ"}
    assert dict(conditions_of({"full": made_by(file_of("full", **paper))}).items)["Data set"] == "CelebA-HQ"


def test_the_filter_that_made_photos_small_stands_beside_the_features(file_of):
    """A Fréchet distance depends on it; drawn faces have none."""
    assert "Filter of resizing" not in dict(conditions_of(records(file_of)).items)
    box = {"resize_filter": "box (Pillow, antialiased)"}
    labels = [label for label, _ in conditions_of(records(file_of, full=box)).items]
    assert labels.index("Filter of resizing") == labels.index("Fréchet features") + 1
    merged = conditions_of(records(file_of, full=box))
    assert dict(merged.items)["Filter of resizing"] == "box (Pillow, antialiased)"
    assert "filter of resizing: box (Pillow, antialiased)" in merged.line()
    two = conditions_of(records(file_of, full=box, full_ffhq={"resize_filter": "resized elsewhere, filter unknown"}))
    assert dict(two.items)["Filter of resizing"].endswith("resized elsewhere, filter unknown for full_ffhq")


def test_code_is_named_and_stays_out_of_captions(file_of):
    merged = conditions_of(records(file_of, full_ffhq={"code": "ffff"}))
    assert dict(merged.items)["Code"] == "0123456789ab; ffff for full_ffhq"
    assert "0123456789ab" not in merged.line() and "Commit" not in dict(merged.items)


def test_data_sets_may_have_their_own_pairs_but_one_data_set_has_one(file_of):
    assert conditions_of(records(file_of)).comparable_rows  # full and full_ffhq differ in pairs
    merged = conditions_of(records(file_of, no_mrem={"pairs": "x"}))
    assert not merged.comparable_rows
    assert "the (image, mask) pairs" in merged.differences[0]


def test_notice_names_data_size_schedule_and_network(file_of):
    notice = conditions_of(records(file_of)).notice
    assert "not the photographs of CelebA-HQ and FFHQ" in notice
    for words in ("NOT comparable", "drawn faces", "64 pixels", "far shorter", "FD (drawn-face attributes)"):
        assert words in notice
    photos = {"profile": "photos", "comparable": False}
    notice = conditions_of({"full": made_by(file_of("full", **photos))}).notice
    assert "not the paper's CelebA-HQ sets" in notice
    assert "drawn faces" not in notice.replace("drawn-face attributes", "")


def test_the_profile_decides_whether_numbers_compare(file_of):
    own = made_by(file_of("full", frechet="FID", profile="mine", comparable=True, image_size=256))
    assert conditions_of({"full": own}).notice == ""
    del own["comparable"]
    assert "NOT comparable" in conditions_of({"full": own}).notice  # silence is not consent


def test_fd_in_the_paper_profile_is_still_no_fid(file_of):
    own = made_by(file_of("full", frechet="FD", profile="paper", comparable=True, image_size=256))
    assert "it is not FID" in conditions_of({"full": own}).notice


def test_figures_do_not_pass_drawn_faces_off_as_photos():
    assert dataset_label("FFHQ", "paper") == "FFHQ"
    assert dataset_label("FFHQ", "demo") == "drawn faces\n(role of FFHQ)"
    assert "photos" in dataset_label("CelebA-HQ", "photos")


def test_a_file_without_a_record_is_admitted():
    assert made_by({"1-20%": {"FID": 1.0}}) == {"frechet": "FID"}
    assert conditions_of({}).items == ()


def test_whole_metrics_files_are_understood_and_captions_fit_in_one_line(file_of):
    file = file_of("full", note="A long sentence.")
    merged = conditions_of({"full": file})
    assert merged == conditions_of({"full": made_by(file)})
    assert merged.line().startswith("profile: demo; data set: drawn faces, studio")
    assert "sentence" not in merged.line()
