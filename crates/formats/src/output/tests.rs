//! What stands on the disk after each way an output can end.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::*;
use crate::error::Error;

/// The names in a folder, sorted.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn file_appears_on_commit_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.bin");
    let mut file = AtomicFile::create(&path, false).unwrap();
    file.write_all(b"hello").unwrap();
    assert!(!path.exists());
    assert_eq!(names(dir.path()).len(), 1);
    file.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"hello");
    assert_eq!(names(dir.path()), ["out.bin"]);
}

#[test]
fn file_dropped_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = AtomicFile::create(&dir.path().join("out"), false).unwrap();
    file.write_all(&[1; 1 << 20]).unwrap();
    drop(file);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn file_needs_force_to_replace() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    fs::write(&path, "old").unwrap();
    assert!(matches!(AtomicFile::create(&path, false), Err(Error::Exists { .. })));
    let mut file = AtomicFile::create(&path, true).unwrap();
    file.write_all(b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    file.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn file_that_came_in_between_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let file = AtomicFile::create(&path, false).unwrap();
    fs::write(&path, "theirs").unwrap();
    assert!(matches!(file.commit(), Err(Error::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    assert_eq!(names(dir.path()), ["out"]);
}

#[test]
fn devices_and_missing_folders_are_refused() {
    if cfg!(unix) {
        let error = AtomicFile::create(Path::new("/dev/null"), true).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let error = AtomicFile::create(&dir.path().join("no/such/out"), false).unwrap_err().to_string();
    assert!(error.contains("no/such") && error.contains("create the folder first"), "{error}");
    let error = AtomicDir::create(&dir.path().join("no/such/out"), false).unwrap_err().to_string();
    assert!(error.contains("create the folder first"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_stay_and_what_they_point_to_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    fs::write(dir.path().join("real/file"), "old").unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("real/file", &link).unwrap();
    let mut file = AtomicFile::create(&link, true).unwrap();
    file.write_all(b"new").unwrap();
    file.commit().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(dir.path().join("real/file")).unwrap(), b"new");
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_named() {
    // A device that is always full, through the same writer.
    let mut full = std::io::BufWriter::new(fs::File::options().write(true).open("/dev/full").unwrap());
    let error = full.write_all(&[0; 1 << 16]).and_then(|()| full.flush()).unwrap_err();
    let error = Error::io(Path::new("out/model.safetensors"), "write")(error).to_string();
    assert_eq!(error, "out/model.safetensors: cannot write: the disk is full; free some space and try again");
}

#[test]
fn dir_appears_on_commit_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    let out = AtomicDir::create(&path, false).unwrap();
    fs::create_dir(out.path().join("sub")).unwrap();
    fs::write(out.path().join("sub/file"), "x").unwrap();
    assert!(!path.exists());
    out.commit().unwrap();
    assert_eq!(fs::read(path.join("sub/file")).unwrap(), b"x");
    assert_eq!(names(dir.path()), ["model"]);
}

#[test]
fn dir_dropped_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = AtomicDir::create(&dir.path().join("model"), false).unwrap();
    fs::write(out.path().join("file"), "x").unwrap();
    drop(out);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn dir_needs_force_unless_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    fs::create_dir(&path).unwrap();
    let out = AtomicDir::create(&path, false).unwrap();
    fs::write(out.path().join("a"), "1").unwrap();
    out.commit().unwrap();
    assert_eq!(names(&path), ["a"]);

    assert!(matches!(AtomicDir::create(&path, false), Err(Error::Exists { .. })));
    let out = AtomicDir::create(&path, true).unwrap();
    fs::write(out.path().join("b"), "2").unwrap();
    assert_eq!(names(&path), ["a"]);
    out.commit().unwrap();
    assert_eq!(names(&path), ["b"]);
    assert_eq!(names(dir.path()), ["model"]);
}

#[test]
fn dir_that_came_in_between_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    let out = AtomicDir::create(&path, false).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("theirs"), "x").unwrap();
    assert!(matches!(out.commit(), Err(Error::Exists { .. })));
    assert_eq!(names(&path), ["theirs"]);
    assert_eq!(names(dir.path()), ["model"]);
}

#[test]
fn dangerous_places_are_refused_even_with_force() {
    for place in [".", "..", "/"] {
        let error = AtomicDir::create(Path::new(place), true).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{place}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    let error = AtomicDir::create(&dir.path().join("file"), true).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn leavings_of_the_dead_are_removed_and_those_of_the_living_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let dead = child.id();
    child.wait().unwrap();
    let stale = dir.path().join(format!(".model.tmp-{dead}-0"));
    fs::create_dir(&stale).unwrap();
    fs::write(stale.join("file"), "x").unwrap();
    // Process 1 is alive; a locked path belongs to someone; another output's is none of ours.
    let kept = [".model.tmp-1-0".to_owned(), format!(".model.tmp-{dead}-1"), format!(".other.tmp-{dead}-0")];
    for name in &kept {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let lock = fs::File::open(dir.path().join(&kept[1])).unwrap();
    lock.lock().unwrap();

    AtomicDir::create(&dir.path().join("model"), false).unwrap().commit().unwrap();
    let mut expected = kept.to_vec();
    expected.push("model".to_owned());
    expected.sort();
    assert_eq!(names(dir.path()), expected);
}

#[cfg(target_os = "linux")]
#[test]
fn an_old_folder_put_aside_by_the_dead_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let dead = child.id();
    child.wait().unwrap();
    let aside = dir.path().join(format!(".model.tmp-{dead}-0-old"));
    let path = dir.path().join("model");
    for (there, expected) in [(false, "old"), (true, "new")] {
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join("file"), "old").unwrap();
        if there {
            fs::write(path.join("file"), "new").unwrap();
        }
        remove_leavings(&path);
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), expected);
        assert_eq!(names(dir.path()), ["model"]);
    }
}

#[test]
fn leavings_of_the_same_number_are_removed_unless_they_are_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    let own = AtomicDir::create(&path, false).unwrap();
    let stale = dir.path().join(format!(".model.tmp-{}-4000000000", std::process::id()));
    fs::create_dir(&stale).unwrap();
    remove_leavings(&path);
    assert!(!stale.exists() && own.path().exists());
}

#[test]
fn what_is_removed_whole_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    remove_whole(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file"), "x").unwrap();
    remove_whole(&path).unwrap();
    fs::write(&path, "x").unwrap();
    remove_whole(&path).unwrap();
    assert!(names(dir.path()).is_empty());
}
