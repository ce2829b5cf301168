//! The hub, spoken by a small server on the loopback.

mod hub_server;

use std::fs;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hub_server::{NAME, Site, serve};
use t5kit_formats::Error;
use t5kit_formats::hub::{HubOptions, fetch, is_name, locate, locate_tokenizer};
use t5kit_formats::progress::{Progress, Unit};

struct Server {
    site: Arc<Mutex<Site>>,
    options: HubOptions,
    _cache: tempfile::TempDir,
}

impl Server {
    fn start(site: Site) -> Self {
        let site = Arc::new(Mutex::new(site));
        let endpoint = serve(&site);
        let cache = tempfile::tempdir().unwrap();
        let cache_folder = cache.path().join("hub");
        let options =
            HubOptions { endpoint, cache: cache_folder, token: None, offline: false, revision: None };
        Self { site, options, _cache: cache }
    }

    fn fetch(&self) -> Result<std::path::PathBuf, String> {
        fetch(NAME, &self.options, &mut ()).map_err(|e| e.to_string())
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.site.lock().unwrap().log)
    }
}

fn site() -> Site {
    let big: Vec<u8> = (0..5000u32).map(|i| (i * 7) as u8).collect();
    let files = [
        ("config.json", b"{}".to_vec()),
        ("spiece.model", vec![1; 300]),
        ("pytorch_model.bin", big),
        ("tf_model.h5", vec![0; 400]),
        ("README.md", b"x".to_vec()),
    ];
    Site {
        commit: "0123456789abcdef".to_owned(),
        files: files.into_iter().map(|(n, d)| (n.to_owned(), d)).collect(),
        ..Site::default()
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_needed_is_fetched_once_and_kept_as_the_tools_keep_it() {
    let server = Server::start(site());
    let folder = server.fetch().unwrap();
    assert_eq!(names(&folder), ["config.json", "pytorch_model.bin", "spiece.model"]);
    for name in names(&folder) {
        assert_eq!(fs::read(folder.join(&name)).unwrap(), server.site.lock().unwrap().files[&name]);
    }
    let model = server.options.cache.join("models--tester--tiny-t5");
    assert_eq!(folder, model.join("snapshots/0123456789abcdef"));
    assert_eq!(fs::read_to_string(model.join("refs/main")).unwrap(), "0123456789abcdef");
    if cfg!(unix) {
        assert!(fs::symlink_metadata(folder.join("config.json")).unwrap().is_symlink());
    }

    server.log();
    assert_eq!(server.fetch().unwrap(), folder);
    assert_eq!(server.log(), [format!("/api/models/{NAME}/revision/main")]);

    // A file that is gone is fetched alone.
    fs::remove_file(folder.join("spiece.model")).unwrap();
    server.fetch().unwrap();
    assert!(server.log().iter().all(|l| l.contains("/api/") || l.contains("spiece.model")));
}

#[test]
fn another_commit_is_another_folder() {
    let server = Server::start(site());
    let old = server.fetch().unwrap();
    {
        let mut site = server.site.lock().unwrap();
        site.commit = "fedcba9876543210".to_owned();
        site.files.insert("config.json".to_owned(), b"{ }".to_vec());
    }
    let new = server.fetch().unwrap();
    assert_ne!(old, new);
    assert_eq!(names(&new), names(&old));
    assert_eq!(fs::read(new.join("config.json")).unwrap(), b"{ }");
    assert_eq!(fs::read(old.join("config.json")).unwrap(), b"{}");
}

#[test]
fn safetensors_first_and_shards_all() {
    let mut some = site();
    some.files.insert(
        "model.safetensors.index.json".to_owned(),
        br#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#
            .to_vec(),
    );
    for i in 1..=2 {
        some.files.insert(format!("model-0000{i}-of-00002.safetensors"), vec![i; 10]);
    }
    let server = Server::start(some);
    let folder = server.fetch().unwrap();
    assert_eq!(
        names(&folder),
        [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "spiece.model"
        ]
    );
    let offline = HubOptions { offline: true, ..server.options.clone() };
    assert_eq!(fetch(NAME, &offline, &mut ()).unwrap(), folder);
    fs::remove_file(folder.join("model-00002-of-00002.safetensors")).unwrap();
    assert!(fetch(NAME, &offline, &mut ()).is_err());
}

#[test]
fn offline_and_unreachable() {
    let server = Server::start(site());
    let offline = HubOptions { offline: true, ..server.options.clone() };
    let error = fetch(NAME, &offline, &mut ()).unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE is set"), "{error}");
    assert!(server.log().is_empty());
    // A port that nobody listens on.
    let gone = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let unreachable = HubOptions { endpoint: gone, ..server.options.clone() };
    let error = fetch(NAME, &unreachable, &mut ()).unwrap_err().to_string();
    assert!(error.contains("cannot be reached") && error.contains("HF_ENDPOINT"), "{error}");

    let folder = server.fetch().unwrap();
    server.log();
    assert_eq!(fetch(NAME, &offline, &mut ()).unwrap(), folder);
    assert!(server.log().is_empty());
    assert_eq!(fetch(NAME, &unreachable, &mut ()).unwrap(), folder);
}

#[test]
fn tokens() {
    let server = Server::start(Site { token: Some("secret".to_owned()), ..site() });
    let error = server.fetch().unwrap_err();
    assert!(error.contains("set HF_TOKEN"), "{error}");
    let mut options = HubOptions { token: Some("wrong".to_owned()), ..server.options.clone() };
    let error = fetch(NAME, &options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("HF_TOKEN does not give access") && !error.contains("wrong"), "{error}");
    options.token = Some("secret".to_owned());
    assert!(!format!("{options:?}").contains("secret"));
    fetch(NAME, &options, &mut ()).unwrap();
}

#[test]
fn a_broken_connection_is_taken_up_again() {
    let mut some = site();
    some.files.remove("spiece.model");
    let server = Server::start(Site { drops: 2, ..some });
    let mut seen: Vec<(String, u64)> = Vec::new();
    let mut watch = |at: Progress<'_>| {
        assert!(at.total.is_some_and(|total| at.done <= total) && at.unit == Unit::Bytes);
        match seen.last_mut() {
            Some((stage, done)) if stage == at.stage => *done = at.done,
            _ => seen.push((at.stage.to_owned(), at.done)),
        }
        ControlFlow::Continue(())
    };
    let folder = fetch(NAME, &server.options, &mut watch).unwrap();
    let want = [("fetching config.json".to_owned(), 2), ("fetching pytorch_model.bin".to_owned(), 5000)];
    assert_eq!(seen, want);
    let log = server.log();
    assert!(log.iter().any(|l| l.ends_with("pytorch_model.bin bytes=70-")), "{log:?}");
    assert!(log.iter().any(|l| l.ends_with("pytorch_model.bin bytes=140-")), "{log:?}");
    let want = &server.site.lock().unwrap().files["pytorch_model.bin"];
    assert_eq!(&fs::read(folder.join("pytorch_model.bin")).unwrap(), want);
}

#[test]
fn whoever_watches_stops_it_and_a_later_one_goes_on() {
    let server = Server::start(site());
    let mut watch = |at: Progress<'_>| match at.stage {
        "fetching pytorch_model.bin" => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let error = fetch(NAME, &server.options, &mut watch).unwrap_err();
    assert!(matches!(error, Error::Stopped(_)), "{error}");
    let folder = fetch(NAME, &server.options, &mut ()).unwrap();
    let want = &server.site.lock().unwrap().files["pytorch_model.bin"];
    assert_eq!(&fs::read(folder.join("pytorch_model.bin")).unwrap(), want);
}

#[test]
fn servers_that_mislead() {
    // Names of files are made of what the server answers.
    for etag in ["../../../../evil", "/evil", "a/b", "", ".", "a\\b"] {
        let server = Server::start(Site { etag: Some(etag.to_owned()), ..site() });
        let error = server.fetch().unwrap_err();
        assert!(error.contains("no sound ETag"), "{etag}: {error}");
        assert!(!server.options.cache.exists());
    }
    let server = Server::start(Site { commit: "../../x".to_owned(), ..site() });
    assert!(server.fetch().unwrap_err().contains("no sound ETag"));
    let server = Server::start(Site { lies: true, ..site() });
    let error = server.fetch().unwrap_err();
    assert!(error.contains("bytes instead of"), "{error}");
    let folder = server.options.cache.join("models--tester--tiny-t5/snapshots/0123456789abcdef");
    assert!(names(&folder).is_empty());
}

#[test]
fn models_that_are_not_there_or_not_read() {
    let mut some = site();
    some.files.remove("pytorch_model.bin");
    let error = Server::start(some).fetch().unwrap_err();
    assert!(error.contains("no weights that are read here"), "{error}");
    let server = Server::start(site());
    let error = fetch("tester/other", &server.options, &mut ()).unwrap_err().to_string();
    assert!(error.starts_with("tester/other: ") && error.contains("does not have it"), "{error}");
    for name in ["", "a", "a/", "/a", "../a", "a/..", "a/b/c", "a b/c", "a/b?", "a/b.", "-a/b", "a/b..c"] {
        assert!(!is_name(name), "{name}");
        assert!(fetch(name, &server.options, &mut ()).is_err());
    }
    assert!(is_name("google/mt5-small") && is_name("Langboat/mengzi-t5-base") && is_name("a/b_c.d"));
}

#[test]
fn the_disk_comes_before_the_hub() {
    let server = Server::start(site());
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.ckpt-7.index"), "").unwrap();
    for place in [dir.path().to_owned(), dir.path().join("model.ckpt-7")] {
        assert_eq!(locate(place.to_str().unwrap(), &server.options, &mut ()).unwrap(), place);
    }
    assert!(server.log().is_empty());
    assert!(locate(NAME, &server.options, &mut ()).unwrap().join("config.json").exists());
    for gone in ["gone", "./gone/model", "/gone", "a/b/c"] {
        let error = locate(gone, &server.options, &mut ()).unwrap_err().to_string();
        assert!(error.contains("no such file or folder, and not the name"), "{gone}: {error}");
    }
    let error = locate("gone/model", &server.options, &mut ()).unwrap_err().to_string();
    assert!(
        error.starts_with("gone/model: no such file or folder here, and as a model of the hub: http"),
        "{error}"
    );
    assert!(error.contains("does not have it"), "{error}");
}

#[test]
fn the_environment() {
    let read = |vars: &[(&str, &str)]| {
        HubOptions::from_vars(|name| vars.iter().find(|v| v.0 == name).map(|v| v.1.to_owned()))
    };
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().to_str().unwrap();
    let options =
        read(&[("HF_HOME", home), ("HF_ENDPOINT", "https://hf-mirror.com/"), ("HF_HUB_OFFLINE", "")]);
    assert_eq!(options.endpoint, "https://hf-mirror.com");
    assert_eq!(options.cache, dir.path().join("hub"));
    assert_eq!((options.token, options.offline), (None, false));

    fs::write(dir.path().join("token"), "from-file\n").unwrap();
    assert_eq!(read(&[("HF_HOME", home)]).token.as_deref(), Some("from-file"));
    let options =
        read(&[("HF_HOME", home), ("HF_TOKEN", "given"), ("HF_HUB_CACHE", "/c"), ("HF_HUB_OFFLINE", "1")]);
    assert_eq!((options.token.as_deref(), options.offline), (Some("given"), true));
    assert_eq!(options.cache, Path::new("/c"));
    let options = read(&[("XDG_CACHE_HOME", home)]);
    assert_eq!(options.cache, dir.path().join("huggingface/hub"));
    assert_eq!(options.endpoint, "https://huggingface.co");
}

#[test]
fn an_address_without_a_scheme() {
    let endpoint = |given: &str| {
        HubOptions::from_vars(|name| (name == "HF_ENDPOINT").then(|| given.to_owned())).endpoint
    };
    assert_eq!(endpoint("hf-mirror.com/"), "https://hf-mirror.com");
    assert_eq!(endpoint("mirror.example:8443/hub"), "https://mirror.example:8443/hub");
    assert_eq!(endpoint("http://10.0.0.1:80"), "http://10.0.0.1:80");
    assert_eq!(endpoint("localhost:8000"), "http://localhost:8000");
    // The server of these tests, by its address alone.
    let mut server = Server::start(site());
    let bare = server.options.endpoint.strip_prefix("http://").unwrap().to_owned();
    server.options.endpoint = endpoint(&bare);
    server.fetch().unwrap();
}

#[test]
fn a_tokenizer_alone() {
    let server = Server::start(site());
    let folder = locate_tokenizer(NAME, &server.options, &mut ()).unwrap();
    assert_eq!(names(&folder), ["config.json", "spiece.model"]);
    // What it left there is no whole model, and the model fetches the rest.
    let offline = HubOptions { offline: true, ..server.options.clone() };
    assert!(fetch(NAME, &offline, &mut ()).is_err());
    assert_eq!(locate_tokenizer(NAME, &offline, &mut ()).unwrap(), folder);
    server.fetch().unwrap();
    assert_eq!(names(&folder), ["config.json", "pytorch_model.bin", "spiece.model"]);
    // What is on the disk is not looked for elsewhere.
    assert_eq!(locate_tokenizer(folder.to_str().unwrap(), &server.options, &mut ()).unwrap(), folder);

    server.site.lock().unwrap().files.remove("spiece.model");
    server.site.lock().unwrap().commit = "89abcdef01234567".to_owned();
    let error = locate_tokenizer(NAME, &server.options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("it has no tokenizer (spiece.model"), "{error}");
}

#[test]
fn an_adapter() {
    let mut site = site();
    site.files.remove("pytorch_model.bin");
    site.files.remove("config.json");
    site.files.insert("adapter_config.json".to_owned(), b"{}".to_vec());
    site.files.insert("adapter_model.safetensors".to_owned(), vec![0; 200]);
    let server = Server::start(site);
    let folder = server.fetch().unwrap();
    assert_eq!(names(&folder), ["adapter_config.json", "adapter_model.safetensors", "spiece.model"]);
    let offline = HubOptions { offline: true, ..server.options.clone() };
    assert_eq!(fetch(NAME, &offline, &mut ()).unwrap(), folder);
}

#[test]
fn another_revision() {
    let mut server = Server::start(site());
    server.options.revision = Some("v1.0".to_owned());
    let folder = server.fetch().unwrap();
    let log = server.log();
    assert_eq!(log[0], format!("/api/models/{NAME}/revision/v1.0"));
    assert!(log.iter().any(|line| line.contains("/resolve/v1.0/")), "{log:?}");
    assert!(folder.ends_with("snapshots/0123456789abcdef"));
    let model = server.options.cache.join("models--tester--tiny-t5");
    assert_eq!(fs::read_to_string(model.join("refs/v1.0")).unwrap(), "0123456789abcdef");
    let with = |revision: Option<&str>| {
        let revision = revision.map(str::to_owned);
        let options = HubOptions { offline: true, revision, ..server.options.clone() };
        fetch(NAME, &options, &mut ()).map_err(|e| e.to_string())
    };
    assert_eq!(with(Some("v1.0")).unwrap(), folder);
    assert!(with(None).is_err());
    for bad in ["", "..", "a/../b", "/etc", "a b", ".hidden"] {
        let error = with(Some(bad)).unwrap_err();
        assert!(error.contains("cannot be a branch, a tag or a commit"), "{bad}: {error}");
    }
    // A whole commit needs no name in the cache.
    let commit = "0123456789abcdef0123456789abcdef01234567";
    fs::rename(&folder, folder.with_file_name(commit)).unwrap();
    assert_eq!(with(Some(commit)).unwrap(), folder.with_file_name(commit));
}

#[test]
fn names_of_old() {
    assert!(is_name("t5-small") && is_name("t5-11b"));
    assert!(!is_name("t5-tiny") && !is_name("mt5-small"));
    let server = Server::start(site());
    let error = locate("t5-small", &server.options, &mut ()).unwrap_err().to_string();
    assert!(error.contains("no such file or folder here") && error.contains("does not have it"), "{error}");
    assert_eq!(server.log(), ["/api/models/google-t5/t5-small/revision/main"]);
}
