"""One walk for photos, masks and label maps: what is skipped, followed, refused, and what is missed by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from replication.data.folder_listing import UNREADABLE, is_odd, stamps_of
from replication.data.nvidia_masks import mask_files
from replication.data.photo_listing import changes_since, find_photos, input_stamps
from replication.data.photos import PhotoFolder
from replication.data.store import write_store
from replication.errors import InputError

LEFT_BEHIND = (".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", "lost+found", "#recycle", "$RECYCLE.BIN")


def save(path: Path, seed: int = 0, size: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    """6 photos, two of them in a subfolder."""
    for k in range(6):
        save(tmp_path / "photos" / ("sub" if k > 3 else "") / f"{k}.png", k)
    return tmp_path / "photos"


def read(folder, **options):
    photos = PhotoFolder(folder, size=16, **options)
    names = [name for chunk in photos.chunks() for name in chunk.rows["id"]]
    return names, photos.source


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_hidden_folders_and_what_systems_leave_are_skipped_at_every_depth(folder, name):
    before, source = read(folder)
    save(folder / name / "copy.png", 1)
    save(folder / "sub" / name / "deep" / "copy.png", 2)
    save(folder / f".{name}.png", 3)
    after, same = read(folder)
    assert is_odd(name) and after == before and same["photos_found_sha256"] == source["photos_found_sha256"]
    assert mask_files(folder) == [folder / name for name in sorted(before, key=lambda name: Path(name))]
    assert list(input_stamps(folder, None, folder)["maps"]) == before


def test_a_hidden_folder_that_was_named_is_read(folder):
    hidden = folder.rename(folder.parent / ".photos")
    assert len(find_photos(hidden)) == 6


def test_a_table_that_names_a_hidden_photo_is_told_why(folder, tmp_path):
    save(folder / ".cache" / "x.png")
    (tmp_path / "t.csv").write_text("file\n.cache/x.png\n")
    with pytest.raises(InputError, match=r"names '\.cache/x\.png', which is not in .* hidden files and folders are"):
        PhotoFolder(folder, size=16, table=tmp_path / "t.csv")


def test_linked_folders_and_files_are_followed(folder, tmp_path):
    save(tmp_path / "disk" / "more" / "a.png", 10)
    save(tmp_path / "disk" / "b.PNG", 11)
    (folder / "linked").symlink_to(tmp_path / "disk")
    (folder / "c.png").symlink_to(tmp_path / "disk" / "b.PNG")
    names, source = read(folder)
    assert {"linked/more/a.png", "linked/b.PNG", "c.png"} < set(names) and source["photos_found"] == 9
    assert len(mask_files(folder)) == 9


def test_a_link_in_a_circle_is_refused_by_name(folder):
    (folder / "sub" / "round").symlink_to(folder)
    for listing in (find_photos, mask_files):
        with pytest.raises(InputError, match=r"sub/round is a link back to .*photos, a folder that it lies in"):
            listing(folder)


@pytest.mark.parametrize("target", ["nowhere", "itself"])
@pytest.mark.parametrize("name", ["0.png", "album"])
def test_dead_links_are_missed_by_name_and_counted(folder, tmp_path, name, target):
    """A photo whose file is gone, and a linked folder whose disk is not mounted."""
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "gone" if target == "nowhere" else folder / name)
    (folder / "notes.txt").symlink_to(tmp_path / "gone")  # would be no photo either way
    assert find_photos(folder)[name] == UNREADABLE
    with pytest.raises(InputError, match=rf"photo .*{name} cannot be read \(a link to nothing\); remove it or use"):
        read(folder)
    (folder / "9.jpg").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"a link to nothing; the first of 2 such photos"):
        read(folder)
    names, source = read(folder, skip_corrupt=True)
    assert source["photos_skipped_as_corrupt"] == sorted(["9.jpg", name]) and name not in names
    assert source["photos_found"] == len(names) + 2


def test_dead_links_among_masks_and_label_maps(folder, tmp_path):
    (folder / "3.png").unlink()
    (folder / "3.png").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"mask .*3\.png cannot be read \(a link to nothing\)"):
        mask_files(folder)
    other = tmp_path / "other"
    for k in range(6):
        save(other / ("sub" if k > 3 else "") / f"{k}.png", k)
    with pytest.raises(InputError, match=r"photo '3\.png' has no parsing map: .*3\.png is a link to nothing"):
        PhotoFolder(other, size=16, parsing_folder=folder)


def test_only_the_photos_of_a_table_have_to_be_readable(folder, tmp_path):
    (folder / "9.png").symlink_to(tmp_path / "gone")
    (tmp_path / "t.csv").write_text("file,split\n0.png,test\n1.png,train\n")
    assert read(folder, table=tmp_path / "t.csv")[0] == ["0.png", "1.png"]


def test_a_photo_that_became_a_dead_link_is_gone(folder, tmp_path):
    (folder / "9.png").symlink_to(tmp_path / "gone")
    photos = PhotoFolder(folder, size=16, skip_corrupt=True)
    store = write_store(tmp_path / "s", name="p", size=16, chunks=photos.chunks(), source=photos.source)
    photos.manifest.to_csv(store.path / "manifest.csv", index=False)

    def changes(before):
        now = input_stamps(folder, None, None)
        return changes_since(store.path, now, before, folder=folder, table=None, parsing_folder=None)

    assert changes(photos.stamps) == changes(None) == []
    (folder / "0.png").unlink()
    (folder / "0.png").symlink_to(tmp_path / "gone")
    assert changes(photos.stamps) == changes(None) == ["1 photo is gone (0.png)"]
    save(tmp_path / "gone.png", 7)
    (folder / "9.png").unlink()
    (folder / "9.png").symlink_to(tmp_path / "gone.png")
    assert "1 unused photo was changed (9.png)" in changes(photos.stamps)


def test_what_is_no_file_and_a_folder_that_cannot_be_listed(folder):
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png cannot be read \(not a file\)"):
        read(folder)
    with pytest.raises(InputError, match=r"nowhere cannot be read \(No such file"):
        stamps_of(folder / "nowhere", (".png",))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_missing_permissions_are_told(folder):
    (folder / "0.png").chmod(0)
    with pytest.raises(InputError, match=r"0\.png cannot be read \(no permission\)"):
        read(folder)
    (folder / "sub").chmod(0)
    with pytest.raises(InputError, match=r"sub cannot be read \(Permission denied\)"):
        read(folder)
    (folder / "sub").chmod(0o755)
