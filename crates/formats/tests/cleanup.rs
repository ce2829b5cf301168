//! What a signal handler calls; in a process of its own, since it concerns all outputs of one.

use std::fs;
use std::io::Write;

use t5kit_formats::output::{AtomicDir, AtomicFile, cleanup_all};

#[test]
fn nothing_unfinished_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("model");
    fs::create_dir(&old).unwrap();
    fs::write(old.join("weights"), "old").unwrap();
    let replacing = AtomicDir::create(&old, true).unwrap();
    fs::write(replacing.path().join("weights"), "new").unwrap();
    let mut file = AtomicFile::create(&dir.path().join("file"), false).unwrap();
    file.write_all(b"half").unwrap();
    let done = AtomicFile::create(&dir.path().join("done"), false).unwrap();
    done.commit().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);

    cleanup_all();
    let left = || {
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(left(), ["done", "model"]);
    assert_eq!(fs::read_to_string(old.join("weights")).unwrap(), "old");
    // A writer that goes on until the process ends fails and still leaves nothing.
    assert!(file.commit().is_err());
    assert!(replacing.commit().is_err());
    assert_eq!(left(), ["done", "model"]);

    // One that puts file after file into its folder meanwhile.
    for _ in 0..20 {
        let busy = AtomicDir::create(&dir.path().join("busy"), false).unwrap();
        let folder = busy.path().to_owned();
        let begun = std::sync::Arc::new(std::sync::Barrier::new(2));
        let writer = std::thread::spawn({
            let begun = begun.clone();
            move || {
                fs::write(folder.join("first"), "x").unwrap();
                begun.wait();
                for number in 0.. {
                    if fs::write(folder.join(number.to_string()), "x").is_err() {
                        return number;
                    }
                }
                0
            }
        });
        begun.wait();
        cleanup_all();
        writer.join().unwrap();
        assert_eq!(left(), ["done", "model"]);
        drop(busy);
    }
}
